// Sends a text with twilio-go.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/twilio/twilio-go"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

func main() {
	client := twilio.NewRestClientWithParams(twilio.ClientParams{
		Username: os.Getenv("TWILIO_ACCOUNT_SID"),
		Password: os.Getenv("TWILIO_AUTH_TOKEN"),
	})
	params := &api.CreateMessageParams{}
	params.SetFrom(os.Getenv("TWILIO_PHONE_NUMBER"))
	params.SetTo("+15005550006")
	params.SetBody(os.Args[1])
	message, err := client.Api.CreateMessage(params)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("reached", *message.Sid)
}
