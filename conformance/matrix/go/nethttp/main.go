// Sends a text with net/http.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
)

func main() {
	sid := os.Getenv("TWILIO_ACCOUNT_SID")
	form := url.Values{
		"From": {os.Getenv("TWILIO_PHONE_NUMBER")},
		"To":   {"+15005550006"},
		"Body": {os.Args[1]},
	}
	address := "https://api.twilio.com/2010-04-01/Accounts/" + sid + "/Messages.json"
	request, err := http.NewRequest("POST", address, strings.NewReader(form.Encode()))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(sid, os.Getenv("TWILIO_AUTH_TOKEN"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var message struct{ Sid, Message string }
	if err := json.NewDecoder(response.Body).Decode(&message); err != nil {
		log.Fatal(err)
	}
	if response.StatusCode != http.StatusCreated {
		log.Fatal(response.Status, " ", message.Message)
	}
	fmt.Println("reached", message.Sid)
}
