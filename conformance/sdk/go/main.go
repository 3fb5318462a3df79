// The story of the official Go SDK as an unmodified client of Offhook.
package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twilio/twilio-go"
	"github.com/twilio/twilio-go/client"
	api "github.com/twilio/twilio-go/rest/api/v2010"
	"github.com/twilio/twilio-go/twiml"
)

var (
	offhookURL  = os.Getenv("OFFHOOK_URL")
	account     = os.Getenv("TWILIO_ACCOUNT_SID")
	token       = os.Getenv("TWILIO_AUTH_TOKEN")
	number      = os.Getenv("TWILIO_PHONE_NUMBER")
	testAccount = os.Getenv("TEST_ACCOUNT_SID")
	testToken   = os.Getenv("TEST_AUTH_TOKEN")
)

var pixel, _ = hex.DecodeString("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489" +
	"0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082")

// toOffhook sends requests of X.twilio.com to /_/X/ of the instance.
type toOffhook struct{}

func (toOffhook) RoundTrip(request *http.Request) (*http.Response, error) {
	target, err := url.Parse(offhookURL)
	if err != nil {
		return nil, err
	}
	product, _, _ := strings.Cut(request.URL.Hostname(), ".")
	request = request.Clone(request.Context())
	request.URL.Scheme, request.URL.Host, request.Host = target.Scheme, target.Host, target.Host
	request.URL.Path = "/_/" + product + request.URL.Path
	if request.URL.RawPath != "" {
		request.URL.RawPath = "/_/" + product + request.URL.RawPath
	}
	return http.DefaultTransport.RoundTrip(request)
}

func connect(user, password, accountSid string) *twilio.RestClient {
	base := &client.Client{
		Credentials: client.NewCredentials(user, password),
		HTTPClient:  &http.Client{Transport: toOffhook{}, Timeout: 10 * time.Second},
	}
	base.SetAccountSid(accountSid)
	return twilio.NewRestClientWithParams(twilio.ClientParams{Client: base})
}

// hook is a webhook that this program received.
type hook struct {
	method, path, url, signature string
	form, query                  map[string]string
}

var (
	lock    sync.Mutex
	seen    []hook
	replies = map[string]string{}
)

func flat(values url.Values) map[string]string {
	flat := map[string]string{}
	for name, list := range values {
		flat[name] = list[0]
	}
	return flat
}

// serve answers webhooks and media.
func serve(answer http.ResponseWriter, request *http.Request) {
	if request.URL.Path == "/pixel.png" {
		answer.Header().Set("Content-Type", "image/png")
		answer.Write(pixel)
		return
	}
	body, _ := io.ReadAll(request.Body)
	form, _ := url.ParseQuery(string(body))
	lock.Lock()
	defer lock.Unlock()
	seen = append(seen, hook{
		request.Method, request.URL.Path, "http://" + request.Host + request.RequestURI,
		request.Header.Get("X-Twilio-Signature"), flat(form), flat(request.URL.Query()),
	})
	answer.Header().Set("Content-Type", "text/xml")
	io.WriteString(answer, replies[request.URL.Path])
}

func hooks(path string) (found []hook) {
	lock.Lock()
	defer lock.Unlock()
	for _, hook := range seen {
		if hook.path == path {
			found = append(found, hook)
		}
	}
	return found
}

func firstHook(path string) hook {
	return until("a webhook of "+path, func() (hook, bool) {
		found := hooks(path)
		if len(found) == 0 {
			return hook{}, false
		}
		return found[0], true
	})
}

var passed, failed int

// check runs a step, which panics to fail, and prints its line.
func check(name string, step func()) {
	defer func() {
		if why := recover(); why != nil {
			failed++
			fmt.Printf("not ok go %s: %s\n", name, strings.Join(strings.Fields(fmt.Sprint(why)), " "))
			return
		}
		passed++
		fmt.Printf("ok go %s\n", name)
	}()
	step()
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func done(err error) {
	if err != nil {
		panic(err)
	}
}

func ensure(holds bool, why string) {
	if !holds {
		panic(why)
	}
}

// value reads a field that the SDK gives as a pointer.
func value[T any](field *T) (value T) {
	if field != nil {
		value = *field
	}
	return value
}

func expect(got, wanted any, what string) {
	if !reflect.DeepEqual(got, wanted) {
		panic(fmt.Sprintf("%s is %v, not %v", what, got, wanted))
	}
}

func matches(pattern, text string) {
	ensure(regexp.MustCompile("^"+pattern+"$").MatchString(text), text)
}

// refused checks the error that a call must return.
func refused(code, status int, err error) {
	ensure(err != nil, fmt.Sprintf("no error, %d expected", code))
	var refusal *client.TwilioRestError
	ensure(errors.As(err, &refusal), fmt.Sprint(err))
	expect(refusal.Code, code, "Code")
	expect(refusal.Status, status, "Status")
	expect(refusal.MoreInfo, fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code), "MoreInfo")
	ensure(refusal.Message != "", "the error has no message")
}

func fails[T any](_ T, err error) error { return err }

// until polls for five seconds.
func until[T any](what string, probe func() (T, bool)) T {
	end := time.Now().Add(5 * time.Second)
	for {
		if found, ok := probe(); ok {
			return found
		}
		ensure(time.Now().Before(end), what+" within 5 s")
		time.Sleep(50 * time.Millisecond)
	}
}

func offhook(path string, body, answer any) {
	var response *http.Response
	if body == nil {
		response = must(http.Get(offhookURL + "/_offhook/v1" + path))
	} else {
		text := bytes.NewReader(must(json.Marshal(body)))
		response = must(http.Post(offhookURL+"/_offhook/v1"+path, "application/json", text))
	}
	defer response.Body.Close()
	ensure(response.StatusCode < 300, path+" answered "+response.Status)
	done(json.NewDecoder(response.Body).Decode(answer))
}

func typeOn(phone, body string) string {
	var answer struct{ Sid string }
	offhook("/handsets/"+phone+"/messages", map[string]string{"to": number, "body": body}, &answer)
	return answer.Sid
}

type line struct {
	Sid, Direction, Peer, Body string
	Media                      []any
}

func threadOf(phone string) []line {
	var answer struct{ Messages []line }
	offhook("/handsets/"+phone+"/messages", nil, &answer)
	return answer.Messages
}

var own = connect(account, token, account)

func to(phone, body string) *api.CreateMessageParams {
	params := &api.CreateMessageParams{}
	return params.SetTo(phone).SetFrom(number).SetBody(body)
}

func send(phone, body string) *api.ApiV2010Message {
	return must(own.Api.CreateMessage(to(phone, body)))
}

func fetch(sid string) (*api.ApiV2010Message, error) { return own.Api.FetchMessage(sid, nil) }

func delivered(sid string) *api.ApiV2010Message {
	return until(sid+" delivered", func() (*api.ApiV2010Message, bool) {
		message := must(fetch(sid))
		return message, value(message.Status) == "delivered"
	})
}

func sids(messages []api.ApiV2010Message) []string {
	sids := []string{}
	for _, message := range messages {
		sids = append(sids, value(message.Sid))
	}
	return sids
}

func updateOwnNumber(smsURL, method string) *api.ApiV2010IncomingPhoneNumber {
	list := must(own.Api.ListIncomingPhoneNumber((&api.ListIncomingPhoneNumberParams{}).SetPhoneNumber(number)))
	expect(len(list), 1, "own numbers")
	params := (&api.UpdateIncomingPhoneNumberParams{}).SetSmsUrl(smsURL).SetSmsMethod(method)
	return must(own.Api.UpdateIncomingPhoneNumber(value(list[0].Sid), params))
}

func main() {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	go http.Serve(listener, http.HandlerFunc(serve))
	hookURL := "http://" + listener.Addr().String()
	validator := client.NewRequestValidator(token)
	var message, available, bought, app, key, secret, sub, subToken, picture string

	check("create a message", func() {
		made := send("+14155550101", "Hello from Go")
		expect(value(made.Status), "queued", "Status")
		expect(value(made.NumSegments), "1", "NumSegments")
		expect(value(made.Direction), "outbound-api", "Direction")
		expect(value(made.From), number, "From")
		matches("SM[0-9a-f]{32}", value(made.Sid))
		must(time.Parse(time.RFC1123Z, value(made.DateCreated)))
		expect(value(send("+14155550101", strings.Repeat("é", 161)).NumSegments), "2", "NumSegments of 161")
		expect(value(send("+14155550101", strings.Repeat("ж", 71)).NumSegments), "2", "NumSegments of 71 UCS-2")
		message = value(made.Sid)
	})

	check("fetch a message", func() {
		fetched := must(fetch(message))
		expect(value(fetched.Sid), message, "Sid")
		expect(value(fetched.To), "+14155550101", "To")
		expect(value(fetched.Body), "Hello from Go", "Body")
		expect(value(fetched.AccountSid), account, "AccountSid")
	})

	check("a message is delivered", func() {
		fetched := delivered(message)
		ensure(fetched.ErrorCode == nil, "ErrorCode is set")
		must(time.Parse(time.RFC1123Z, value(fetched.DateSent)))
	})

	check("list messages by pages", func() {
		sent := []string{}
		for n := range 7 {
			sent = append(sent, value(send("+14155550102", fmt.Sprint("Page ", n)).Sid))
		}
		slices.Reverse(sent)
		params := (&api.ListMessageParams{}).SetTo("+14155550102").SetPageSize(3)
		sizes, walked := []int{}, []string{}
		for pageToken, page := "", ""; ; {
			answer := must(own.Api.PageMessage(params, pageToken, page))
			sizes = append(sizes, len(answer.Messages))
			walked = append(walked, sids(answer.Messages)...)
			if answer.NextPageUri == nil || len(sizes) > 5 {
				break
			}
			query := must(url.Parse(*answer.NextPageUri)).Query()
			pageToken, page = query.Get("PageToken"), query.Get("Page")
		}
		expect(sizes, []int{3, 3, 1}, "page sizes")
		expect(walked, sent, "walked SIDs")
		expect(sids(must(own.Api.ListMessage(params))), sent, "listed SIDs")
		streamed := []string{}
		records, errs := own.Api.StreamMessage(params)
		for record := range records {
			streamed = append(streamed, value(record.Sid))
		}
		done(<-errs)
		expect(streamed, sent, "streamed SIDs")
		everything := sids(must(own.Api.ListMessage((&api.ListMessageParams{}).SetPageSize(3))))
		distinct := map[string]bool{}
		for _, sid := range everything {
			distinct[sid] = true
		}
		expect(len(distinct), len(everything), "distinct SIDs of the whole list")
		for _, sid := range sent {
			ensure(distinct[sid], "the whole list lacks a message")
		}
	})

	check("list messages with filters", func() {
		sid := value(send("+14155550103", "Hello").Sid)
		delivered(sid)
		now := time.Now().UTC()
		day := now.Truncate(24 * time.Hour)
		one, none := []string{sid}, []string{}
		filter := func() *api.ListMessageParams { return (&api.ListMessageParams{}).SetTo("+14155550103") }
		found := func(params *api.ListMessageParams) []string { return sids(must(own.Api.ListMessage(params))) }
		expect(found(filter()), one, "To")
		expect(found(filter().SetFrom(number)), one, "From")
		expect(found(filter().SetFrom("+14155550199")), none, "another From")
		expect(found(filter().SetDateSent(day)), one, "DateSent today")
		expect(found(filter().SetDateSent(day.AddDate(0, 0, -2))), none, "DateSent two days ago")
		expect(found(filter().SetDateSentAfter(now.Add(-time.Hour))), one, "DateSentAfter")
		expect(found(filter().SetDateSentAfter(now.Add(time.Hour))), none, "DateSentAfter the future")
		expect(found(filter().SetDateSentBefore(now.Add(time.Hour))), one, "DateSentBefore")
		expect(found(filter().SetDateSentBefore(now.Add(-time.Hour))), none, "DateSentBefore the past")
	})

	check("redact a message", func() {
		redacted := must(own.Api.UpdateMessage(message, (&api.UpdateMessageParams{}).SetBody("")))
		expect(value(redacted.Body), "", "Body of the answer")
		expect(value(must(fetch(message)).Body), "", "Body fetched")
	})

	check("delete a message", func() {
		done(own.Api.DeleteMessage(message, nil))
		refused(20404, 404, fails(fetch(message)))
	})

	check("error 21211: a bad To", func() {
		refused(21211, 400, fails(own.Api.CreateMessage(to("+1415", "x"))))
	})

	check("error 21603: no sender", func() {
		params := (&api.CreateMessageParams{}).SetTo("+14155550101").SetBody("x")
		refused(21603, 400, fails(own.Api.CreateMessage(params)))
	})

	check("error 21604: no recipient", func() {
		params := (&api.CreateMessageParams{}).SetFrom(number).SetBody("x")
		refused(21604, 400, fails(own.Api.CreateMessage(params)))
	})

	check("error 21617: a long body", func() {
		params := to("+14155550101", strings.Repeat("x", 1601))
		refused(21617, 400, fails(own.Api.CreateMessage(params)))
	})

	check("error 20003: a wrong token", func() {
		wrong := connect(account, strings.Repeat("0", 32), account)
		refused(20003, 401, fails(wrong.Api.CreateMessage(to("+14155550101", "x"))))
	})

	check("error 20404: an unknown SID", func() {
		refused(20404, 404, fails(fetch("SM"+strings.Repeat("0", 32))))
	})

	check("status callbacks arrive in order and signed", func() {
		params := to("+14155550104", "Hello").SetStatusCallback(hookURL + "/status")
		sid := value(must(own.Api.CreateMessage(params)).Sid)
		until("three callbacks", func() (int, bool) { return 0, len(hooks("/status")) >= 3 })
		delivered(sid)
		statuses := []string{}
		for _, hook := range hooks("/status") {
			statuses = append(statuses, hook.form["MessageStatus"])
			expect(hook.method, "POST", "method")
			expect(hook.form["MessageSid"], sid, "MessageSid")
			expect(hook.form["AccountSid"], account, "AccountSid")
			ensure(validator.Validate(hook.url, hook.form, hook.signature), "bad signature")
			hook.form["MessageStatus"] = "failed"
			ensure(!validator.Validate(hook.url, hook.form, hook.signature), "no signature")
		}
		expect(statuses, []string{"sending", "sent", "delivered"}, "statuses")
	})

	check("an inbound message reaches the webhook signed", func() {
		reply := &twiml.MessagingMessage{Body: "You said <hi> & it works"}
		replies["/sms"] = must(twiml.Messages([]twiml.Element{reply}))
		expect(value(updateOwnNumber(hookURL+"/sms", "POST").SmsUrl), hookURL+"/sms", "SmsUrl")
		sid := typeOn("+14155550105", "hi über & out")
		hook := firstHook("/sms")
		expect(hook.method, "POST", "method")
		expect(hook.form["From"], "+14155550105", "From")
		expect(hook.form["To"], number, "To")
		expect(hook.form["Body"], "hi über & out", "Body")
		expect(hook.form["NumMedia"], "0", "NumMedia")
		expect(hook.form["MessageSid"], sid, "MessageSid")
		expect(hook.form["AccountSid"], account, "AccountSid")
		ensure(validator.Validate(hook.url, hook.form, hook.signature), "bad signature")
		fetched := must(fetch(sid))
		expect(value(fetched.Direction), "inbound", "Direction")
		expect(value(fetched.Status), "received", "Status")
	})

	check("a TwiML reply reaches the phone", func() {
		arrived := until("the reply", func() (line, bool) {
			for _, line := range threadOf("+14155550105") {
				if line.Direction == "received" {
					return line, true
				}
			}
			return line{}, false
		})
		expect(arrived.Body, "You said <hi> & it works", "body")
		expect(arrived.Peer, number, "peer")
		expect(value(must(fetch(arrived.Sid)).Direction), "outbound-reply", "Direction")
	})

	check("a GET webhook is signed", func() {
		updateOwnNumber(hookURL+"/get?kept=1", "GET")
		sid := typeOn("+14155550106", "by GET & more")
		hook := firstHook("/get")
		expect(hook.method, "GET", "method")
		expect(hook.query["kept"], "1", "own query")
		expect(hook.query["Body"], "by GET & more", "Body")
		expect(hook.query["MessageSid"], sid, "MessageSid")
		ensure(validator.Validate(hook.url, nil, hook.signature), "bad signature")
		expect(value(updateOwnNumber("", "POST").SmsUrl), "", "SmsUrl")
	})

	check("search available numbers", func() {
		params := (&api.ListAvailablePhoneNumberLocalParams{}).SetContains("415").SetLimit(5)
		found := must(own.Api.ListAvailablePhoneNumberLocal("US", params))
		ensure(len(found) > 0 && len(found) <= 5, fmt.Sprint(len(found), " numbers"))
		for _, number := range found {
			matches(`\+1\d*415\d*`, value(number.PhoneNumber))
			expect(value(number.IsoCountry), "US", "IsoCountry")
			ensure(number.Capabilities != nil && number.Capabilities.Sms, "no SMS capability")
		}
		available = value(found[0].PhoneNumber)
	})

	check("buy a number", func() {
		made := must(own.Api.CreateIncomingPhoneNumber(
			(&api.CreateIncomingPhoneNumberParams{}).SetPhoneNumber(available)))
		expect(value(made.PhoneNumber), available, "PhoneNumber")
		matches("PN[0-9a-f]{32}", value(made.Sid))
		ensure(made.Capabilities != nil && made.Capabilities.Sms, "no SMS capability")
		bought = value(made.Sid)
	})

	check("update a number", func() {
		params := (&api.UpdateIncomingPhoneNumberParams{}).SetFriendlyName("Front desk")
		updated := must(own.Api.UpdateIncomingPhoneNumber(bought, params))
		expect(value(updated.FriendlyName), "Front desk", "FriendlyName")
		fetched := must(own.Api.FetchIncomingPhoneNumber(bought, nil))
		expect(value(fetched.FriendlyName), "Front desk", "FriendlyName fetched")
	})

	check("list numbers with a filter", func() {
		found := func(params *api.ListIncomingPhoneNumberParams) []string {
			sids := []string{}
			for _, number := range must(own.Api.ListIncomingPhoneNumber(params)) {
				sids = append(sids, value(number.Sid))
			}
			return sids
		}
		filter := func() *api.ListIncomingPhoneNumberParams { return &api.ListIncomingPhoneNumberParams{} }
		expect(found(filter().SetPhoneNumber(available)), []string{bought}, "PhoneNumber")
		expect(found(filter().SetFriendlyName("Front desk")), []string{bought}, "FriendlyName")
		expect(found(filter().SetFriendlyName("Nobody")), []string{}, "another FriendlyName")
		ensure(len(found(filter())) >= 2, "the whole list lacks a number")
	})

	check("release a number", func() {
		done(own.Api.DeleteIncomingPhoneNumber(bought, nil))
		refused(20404, 404, fails(own.Api.FetchIncomingPhoneNumber(bought, nil)))
	})

	check("create and fetch an application", func() {
		params := (&api.CreateApplicationParams{}).SetFriendlyName("Desk app").SetSmsUrl(hookURL + "/app")
		app = value(must(own.Api.CreateApplication(params)).Sid)
		matches("AP[0-9a-f]{32}", app)
		fetched := must(own.Api.FetchApplication(app, nil))
		expect(value(fetched.FriendlyName), "Desk app", "FriendlyName")
		expect(value(fetched.SmsUrl), hookURL+"/app", "SmsUrl")
	})

	check("update and list applications", func() {
		params := (&api.UpdateApplicationParams{}).SetFriendlyName("Till")
		expect(value(must(own.Api.UpdateApplication(app, params)).FriendlyName), "Till", "FriendlyName")
		found := must(own.Api.ListApplication((&api.ListApplicationParams{}).SetFriendlyName("Till")))
		expect(len(found), 1, "applications")
		expect(value(found[0].Sid), app, "Sid")
		found = must(own.Api.ListApplication((&api.ListApplicationParams{}).SetFriendlyName("Desk app")))
		expect(len(found), 0, "applications by the old name")
	})

	check("delete an application", func() {
		done(own.Api.DeleteApplication(app, nil))
		refused(20404, 404, fails(own.Api.FetchApplication(app, nil)))
	})

	check("create an API key", func() {
		made := must(own.Api.CreateNewKey((&api.CreateNewKeyParams{}).SetFriendlyName("Story key")))
		key, secret = value(made.Sid), value(made.Secret)
		matches("SK[0-9a-f]{32}", key)
		ensure(regexp.MustCompile("^[0-9a-zA-Z]{32}$").MatchString(secret), "secret")
		// The SDK's type of a fetched key has no secret.
		fetched := must(own.Api.FetchKey(key, nil))
		expect(value(fetched.FriendlyName), "Story key", "FriendlyName")
	})

	check("an API key authenticates", func() {
		keyed := connect(key, secret, account)
		made := must(keyed.Api.CreateMessage(to("+14155550101", "By key")))
		expect(value(made.AccountSid), account, "AccountSid")
		refused(20003, 401, fails(keyed.Api.ListKey(&api.ListKeyParams{})))
		wrong := connect(key, strings.Repeat("x", 32), account)
		refused(20003, 401, fails(wrong.Api.FetchMessage(value(made.Sid), nil)))
	})

	check("a deleted API key is refused", func() {
		done(own.Api.DeleteKey(key, nil))
		keyed := connect(key, secret, account)
		refused(20003, 401, fails(keyed.Api.CreateMessage(to("+14155550101", "x"))))
	})

	check("create a subaccount", func() {
		made := must(own.Api.CreateAccount((&api.CreateAccountParams{}).SetFriendlyName("Branch")))
		sub, subToken = value(made.Sid), value(made.AuthToken)
		matches("AC[0-9a-f]{32}", sub)
		expect(value(made.Status), "active", "Status")
		expect(value(made.OwnerAccountSid), account, "OwnerAccountSid")
		found := must(own.Api.ListAccount((&api.ListAccountParams{}).SetFriendlyName("Branch")))
		expect(len(found), 1, "accounts")
		expect(value(found[0].Sid), sub, "Sid")
	})

	check("the parent reaches the subaccount", func() {
		parent := connect(account, token, sub)
		search := (&api.ListAvailablePhoneNumberLocalParams{}).SetContains("628").SetLimit(1)
		found := must(parent.Api.ListAvailablePhoneNumberLocal("US", search))
		expect(len(found), 1, "numbers found")
		line := must(parent.Api.CreateIncomingPhoneNumber(
			(&api.CreateIncomingPhoneNumberParams{}).SetPhoneNumber(value(found[0].PhoneNumber))))
		expect(value(line.AccountSid), sub, "AccountSid of the number")
		params := to("+14155550107", "Hi").SetFrom(value(line.PhoneNumber))
		made := must(parent.Api.CreateMessage(params))
		expect(value(made.AccountSid), sub, "AccountSid of the message")
		child := connect(sub, subToken, sub)
		fetched := must(child.Api.FetchMessage(value(made.Sid), nil))
		expect(value(fetched.Sid), value(made.Sid), "the child's fetch")
		refused(20404, 404, fails(fetch(value(made.Sid))))
		upward := connect(sub, subToken, account)
		refused(20003, 401, fails(upward.Api.ListMessage((&api.ListMessageParams{}).SetLimit(1))))
	})

	balance := func(user, password string) (string, error) {
		answer, err := connect(user, password, user).Api.FetchBalance(nil)
		if err != nil {
			return "", err
		}
		return value(answer.AccountSid), nil
	}

	check("rotate an auth token", func() {
		child := connect(sub, subToken, sub)
		secondary := value(must(child.AccountsV1.CreateSecondaryAuthToken()).SecondaryAuthToken)
		matches("[0-9a-f]{32}", secondary)
		expect(must(balance(sub, secondary)), sub, "account of the secondary token")
		expect(must(balance(sub, subToken)), sub, "account of the primary token")
		promoted := must(child.AccountsV1.UpdateAuthTokenPromotion())
		expect(value(promoted.AuthToken), secondary, "promoted token")
		list := must(connect(sub, secondary, sub).Api.ListMessage((&api.ListMessageParams{}).SetLimit(1)))
		expect(len(list), 1, "messages by the promoted token")
		refused(20003, 401, fails(balance(sub, subToken)))
		subToken = secondary
	})

	setStatus := func(status string) (*api.ApiV2010Account, error) {
		return own.Api.UpdateAccount(sub, (&api.UpdateAccountParams{}).SetStatus(status))
	}

	check("a suspended subaccount is refused", func() {
		expect(value(must(setStatus("suspended")).Status), "suspended", "Status")
		refused(20005, 403, fails(balance(sub, subToken)))
		must(setStatus("active"))
		expect(must(balance(sub, subToken)), sub, "account")
	})

	check("close a subaccount", func() {
		expect(value(must(setStatus("closed")).Status), "closed", "Status")
		refused(20005, 403, fails(balance(sub, subToken)))
		refused(21479, 400, fails(setStatus("active")))
	})

	check("fetch the balance", func() {
		fetched := must(own.Api.FetchBalance(nil))
		expect(value(fetched.AccountSid), account, "AccountSid")
		expect(value(fetched.Currency), "USD", "Currency")
		must(strconv.ParseFloat(value(fetched.Balance), 64))
	})

	test := connect(testAccount, testToken, testAccount)
	magic := func(from, phone string) (*api.ApiV2010Message, error) {
		return test.Api.CreateMessage(to(phone, "x").SetFrom(from))
	}

	check("test credentials send", func() {
		made := must(magic("+15005550006", "+14155550108"))
		expect(value(made.Status), "queued", "Status")
		expect(value(made.AccountSid), testAccount, "AccountSid")
		time.Sleep(500 * time.Millisecond)
		expect(len(threadOf("+14155550108")), 0, "messages on the phone")
	})

	check("test credentials raise the magic errors", func() {
		for _, row := range []struct {
			code        int
			from, phone string
		}{
			{21212, "+15005550001", "+14155550108"},
			{21606, "+15005550007", "+14155550108"},
			{21611, "+15005550008", "+14155550108"},
			{21606, number, "+14155550108"},
			{21211, "+15005550006", "+15005550001"},
			{21612, "+15005550006", "+15005550002"},
			{21408, "+15005550006", "+15005550003"},
			{21610, "+15005550006", "+15005550004"},
			{21614, "+15005550006", "+15005550009"},
		} {
			refused(row.code, 400, fails(magic(row.from, row.phone)))
		}
		buy := func(number string) (*api.ApiV2010IncomingPhoneNumber, error) {
			return test.Api.CreateIncomingPhoneNumber(
				(&api.CreateIncomingPhoneNumberParams{}).SetPhoneNumber(number))
		}
		expect(value(must(buy("+15005550006")).PhoneNumber), "+15005550006", "number bought")
		refused(21422, 400, fails(buy("+15005550000")))
		refused(21421, 400, fails(buy("+15005550001")))
	})

	check("error 20008: a list with test credentials", func() {
		refused(20008, 403, fails(test.Api.ListMessage((&api.ListMessageParams{}).SetLimit(1))))
	})

	check("send a picture", func() {
		params := to("+14155550109", "Look").SetMediaUrl([]string{hookURL + "/pixel.png"})
		made := must(own.Api.CreateMessage(params))
		picture = value(made.Sid)
		matches("MM[0-9a-f]{32}", picture)
		expect(value(made.NumMedia), "1", "NumMedia")
		delivered(picture)
	})

	check("list the media of a message", func() {
		list := must(own.Api.ListMedia(picture, &api.ListMediaParams{}))
		expect(len(list), 1, "media")
		matches("ME[0-9a-f]{32}", value(list[0].Sid))
		expect(value(list[0].ContentType), "image/png", "ContentType")
		expect(value(list[0].ParentSid), picture, "ParentSid")
		path := fmt.Sprintf("/_/api/2010-04-01/Accounts/%s/Messages/%s/Media/%s", account, picture, value(list[0].Sid))
		response := must(http.Get(offhookURL + path))
		defer response.Body.Close()
		ensure(bytes.Equal(must(io.ReadAll(response.Body)), pixel), "the bytes differ")
	})

	check("the picture is on the phone", func() {
		thread := threadOf("+14155550109")
		expect(len(thread), 1, "messages")
		expect(thread[0].Body, "Look", "body")
		expect(len(thread[0].Media), 1, "media")
	})

	check("STOP blocks further messages", func() {
		delivered(value(send("+14155550110", "Welcome").Sid))
		typeOn("+14155550110", "STOP")
		refused(21610, 400, fails(own.Api.CreateMessage(to("+14155550110", "Still there?"))))
	})

	check("START allows them again", func() {
		typeOn("+14155550110", "START")
		delivered(value(send("+14155550110", "Welcome back").Sid))
		ensure(slices.ContainsFunc(threadOf("+14155550110"),
			func(line line) bool { return line.Body == "Welcome back" }), "not on the phone")
	})

	fmt.Printf("go: %d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
