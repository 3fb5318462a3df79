"""The story of the official Python SDK as an unmodified client of Offhook."""

import http.client
import json
import os
import re
import sys
import threading
import time
import traceback
import urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pyotp
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.messaging_response import MessagingResponse
from twilio.twiml.voice_response import VoiceResponse

URL = os.environ["OFFHOOK_URL"]
ACCOUNT = os.environ["TWILIO_ACCOUNT_SID"]
TOKEN = os.environ["TWILIO_AUTH_TOKEN"]
NUMBER = os.environ["TWILIO_PHONE_NUMBER"]
TEST_ACCOUNT = os.environ["TEST_ACCOUNT_SID"]
TEST_TOKEN = os.environ["TEST_AUTH_TOKEN"]

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


class OffhookHttpClient(TwilioHttpClient):
    """Sends requests of X.twilio.com to /_/X/ of the instance."""

    def request(self, method, url, *args, **kwargs):
        parts = urlsplit(url)
        product = parts.hostname.split(".")[0]
        query = f"?{parts.query}" if parts.query else ""
        return super().request(method, f"{URL}/_/{product}{parts.path}{query}", *args, **kwargs)


def connect(user, password, account=None):
    return Client(user, password, account_sid=account, http_client=OffhookHttpClient())


class Hook(BaseHTTPRequestHandler):
    """Webhooks and media of this program."""

    seen = []
    replies = {}

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length).decode()
        path = urlsplit(self.path)
        kind, body = "text/xml", b""
        if path.path == "/pixel.png":
            kind, body = "image/png", PIXEL
        else:
            form = parse_qsl(text, keep_blank_values=True)
            query = parse_qsl(path.query, keep_blank_values=True)
            Hook.seen.append(
                {
                    "method": self.command,
                    "path": path.path,
                    "url": f"http://{self.headers['Host']}{self.path}",
                    "form": dict(form),
                    "query": dict(query),
                    "text": text,
                    "signature": self.headers.get("X-Twilio-Signature", ""),
                }
            )
            body = Hook.replies.get(path.path, "").encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_HEAD = answer

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
threading.Thread(target=server.serve_forever, daemon=True).start()
HOOK = f"http://127.0.0.1:{server.server_port}"

client = connect(ACCOUNT, TOKEN)
validator = RequestValidator(TOKEN)
passed = failed = 0
state = {}


def check(name):
    """Runs a step and prints its line."""

    def run(step):
        global passed, failed
        try:
            step()
            passed += 1
            print(f"ok python {name}", flush=True)
        except Exception as error:
            failed += 1
            why = " ".join(str(error).split()) or type(error).__name__
            if not isinstance(error, (AssertionError, TwilioRestException)):
                frame = traceback.extract_tb(error.__traceback__)[-1]
                why = f"{type(error).__name__}: {why} (line {frame.lineno})"
            print(f"not ok python {name}: {why}", flush=True)

    return run


def expect(got, wanted, what):
    assert got == wanted, f"{what} is {got!r}, not {wanted!r}"


def refused(code, status, action):
    """The error that `action` must raise."""
    try:
        action()
    except TwilioRestException as error:
        expect(error.code, code, "code")
        expect(error.status, status, "status")
        assert error.msg, "the exception has no message"
        return error
    raise AssertionError(f"no error, {code} expected")


def list_refused(code, status, action):
    """The same of a list: there this SDK's exception carries the response."""
    try:
        action()
    except TwilioException as error:
        response = error.args[1]
        body = json.loads(response.text)
        expect(response.status_code, status, "HTTP status")
        expect((body["code"], body["status"]), (code, status), "code and status")
        expect(body["more_info"], f"https://www.twilio.com/docs/errors/{code}", "more_info")
        return
    raise AssertionError(f"no error, {code} expected")


def until(what, probe, seconds=5):
    """Polls until `probe` answers something true."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < end, f"{what} within {seconds} s"
        time.sleep(0.05)


def offhook(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{URL}/_offhook/v1{path}", data, headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def type_on(phone, body, to=NUMBER):
    return offhook(f"/handsets/{phone}/messages", {"to": to, "body": body})["sid"]


def thread_of(phone):
    return offhook(f"/handsets/{phone}/messages")["messages"]


def hooks(path):
    return [hook for hook in Hook.seen if hook["path"] == path]


def final(sid, status="delivered"):
    return until(
        f"{sid} {status}",
        lambda: (m := client.messages(sid).fetch()).status == status and m,
    )


def send(to, body="Hello", **more):
    return client.messages.create(to=to, from_=NUMBER, body=body, **more)


def own_number():
    [number] = client.incoming_phone_numbers.list(phone_number=NUMBER)
    return client.incoming_phone_numbers(number.sid)


@check("create a message")
def _():
    message = send("+14155550101", "Hello from Python")
    expect(message.status, "queued", "status")
    expect(message.num_segments, "1", "num_segments")
    expect(message.direction, "outbound-api", "direction")
    expect(message.from_, NUMBER, "from")
    assert re.fullmatch("SM[0-9a-f]{32}", message.sid), message.sid
    assert isinstance(message.date_created, datetime), message.date_created
    expect(send("+14155550101", "é" * 161).num_segments, "2", "num_segments of 161 characters")
    expect(send("+14155550101", "ж" * 71).num_segments, "2", "num_segments of 71 UCS-2 characters")
    state["message"] = message.sid


@check("fetch a message")
def _():
    message = client.messages(state["message"]).fetch()
    expect(message.sid, state["message"], "sid")
    expect(message.to, "+14155550101", "to")
    expect(message.body, "Hello from Python", "body")
    expect(message.account_sid, ACCOUNT, "account_sid")


@check("a message is delivered")
def _():
    message = final(state["message"])
    expect(message.error_code, None, "error_code")
    assert isinstance(message.date_sent, datetime), message.date_sent


@check("list messages by pages")
def _():
    sids = [send("+14155550102", f"Page {n}").sid for n in range(7)]
    page = client.messages.page(to="+14155550102", page_size=3)
    sizes, walked = [], []
    while page is not None:
        rows = [row.sid for row in page]
        sizes.append(len(rows))
        walked += rows
        page = page.next_page()
    expect(sizes, [3, 3, 1], "page sizes")
    expect(walked, sids[::-1], "walked SIDs")
    streamed = [m.sid for m in client.messages.stream(to="+14155550102", page_size=2)]
    expect(streamed, sids[::-1], "streamed SIDs")
    everything = [m.sid for m in client.messages.list(page_size=3)]
    expect(len(set(everything)), len(everything), "distinct SIDs of the whole list")
    assert set(sids) <= set(everything), "the whole list lacks a message"


@check("list messages with filters")
def _():
    sid = send("+14155550103").sid
    final(sid)
    now = datetime.now(timezone.utc)
    to = {"to": "+14155550103"}
    found = lambda **filters: [m.sid for m in client.messages.list(**filters)]
    expect(found(**to), [sid], "to")
    expect(found(from_=NUMBER, **to), [sid], "from")
    expect(found(from_="+14155550199", **to), [], "another from")
    expect(found(date_sent=now.date(), **to), [sid], "date_sent today")
    expect(found(date_sent=(now - timedelta(days=2)).date(), **to), [], "date_sent two days ago")
    expect(found(date_sent_after=now - timedelta(hours=1), **to), [sid], "date_sent_after")
    expect(found(date_sent_after=now + timedelta(hours=1), **to), [], "date_sent_after the future")
    expect(found(date_sent_before=now + timedelta(hours=1), **to), [sid], "date_sent_before")
    expect(found(date_sent_before=now - timedelta(hours=1), **to), [], "date_sent_before the past")


@check("redact a message")
def _():
    expect(client.messages(state["message"]).update(body="").body, "", "body of the answer")
    expect(client.messages(state["message"]).fetch().body, "", "body fetched")


@check("delete a message")
def _():
    expect(client.messages(state["message"]).delete(), True, "delete")
    refused(20404, 404, lambda: client.messages(state["message"]).fetch())


@check("error 21211: a bad To")
def _():
    error = refused(21211, 400, lambda: send("+1415"))
    expect(error.method, "POST", "method")


@check("error 21603: no sender")
def _():
    refused(21603, 400, lambda: client.messages.create(to="+14155550101", body="x"))


@check("error 21604: no recipient")
def _():
    refused(21604, 400, lambda: send(""))


@check("error 21617: a long body")
def _():
    refused(21617, 400, lambda: send("+14155550101", "x" * 1601))


@check("error 20003: a wrong token")
def _():
    wrong = connect(ACCOUNT, "0" * 32)
    refused(20003, 401, lambda: wrong.messages.create(to="+14155550101", from_=NUMBER, body="x"))


@check("error 20404: an unknown SID")
def _():
    error = refused(20404, 404, lambda: client.messages("SM" + "0" * 32).fetch())
    assert "/Messages/SM" in error.uri, error.uri


@check("status callbacks arrive in order and signed")
def _():
    sid = send("+14155550104", status_callback=f"{HOOK}/status").sid
    until("three callbacks", lambda: len(hooks("/status")) >= 3)
    final(sid)
    statuses = [hook["form"]["MessageStatus"] for hook in hooks("/status")]
    expect(statuses, ["sending", "sent", "delivered"], "statuses")
    for hook in hooks("/status"):
        expect(hook["method"], "POST", "method")
        expect(hook["form"]["MessageSid"], sid, "MessageSid")
        expect(hook["form"]["AccountSid"], ACCOUNT, "AccountSid")
        assert validator.validate(hook["url"], hook["form"], hook["signature"]), "bad signature"
        tampered = {**hook["form"], "MessageStatus": "failed"}
        assert not validator.validate(hook["url"], tampered, hook["signature"]), "no signature"


@check("an inbound message reaches the webhook signed")
def _():
    reply = MessagingResponse()
    reply.message("You said <hi> & it works")
    Hook.replies["/sms"] = str(reply)
    number = own_number().update(sms_url=f"{HOOK}/sms", sms_method="POST")
    expect(number.sms_url, f"{HOOK}/sms", "sms_url")
    sid = type_on("+14155550105", "hi über & out")
    [hook] = until("the webhook", lambda: hooks("/sms"))
    form = hook["form"]
    expect(hook["method"], "POST", "method")
    expect(form["From"], "+14155550105", "From")
    expect(form["To"], NUMBER, "To")
    expect(form["Body"], "hi über & out", "Body")
    expect(form["NumMedia"], "0", "NumMedia")
    expect(form["MessageSid"], sid, "MessageSid")
    expect(form["AccountSid"], ACCOUNT, "AccountSid")
    assert validator.validate(hook["url"], form, hook["signature"]), "bad signature"
    message = client.messages(sid).fetch()
    expect((message.direction, message.status), ("inbound", "received"), "direction and status")


@check("a TwiML reply reaches the phone")
def _():
    arrived = lambda: [m for m in thread_of("+14155550105") if m["direction"] == "received"]
    [line] = until("the reply", arrived)
    expect(line["body"], "You said <hi> & it works", "body")
    expect(line["peer"], NUMBER, "peer")
    expect(client.messages(line["sid"]).fetch().direction, "outbound-reply", "direction")


@check("a GET webhook is signed")
def _():
    own_number().update(sms_url=f"{HOOK}/get?kept=1", sms_method="GET")
    sid = type_on("+14155550106", "by GET & more")
    [hook] = until("the webhook", lambda: hooks("/get"))
    expect(hook["method"], "GET", "method")
    expect(hook["query"]["kept"], "1", "own query")
    expect(hook["query"]["Body"], "by GET & more", "Body")
    expect(hook["query"]["MessageSid"], sid, "MessageSid")
    assert validator.validate(hook["url"], {}, hook["signature"]), "bad signature"
    cleared = own_number().update(sms_url="", sms_method="POST")
    expect(cleared.sms_url or "", "", "sms_url")


@check("search available numbers")
def _():
    found = client.available_phone_numbers("US").local.list(contains="415", limit=5)
    assert 0 < len(found) <= 5, f"{len(found)} numbers"
    for number in found:
        assert number.phone_number.startswith("+1"), number.phone_number
        assert "415" in number.phone_number, number.phone_number
        expect(number.iso_country, "US", "iso_country")
        expect(number.capabilities["SMS"], True, "SMS capability")
    state["available"] = found[0].phone_number


@check("buy a number")
def _():
    number = client.incoming_phone_numbers.create(phone_number=state["available"])
    expect(number.phone_number, state["available"], "phone_number")
    assert number.sid.startswith("PN"), number.sid
    expect(number.capabilities["sms"], True, "sms capability")
    state["number"] = number.sid


@check("update a number")
def _():
    number = client.incoming_phone_numbers(state["number"]).update(friendly_name="Front desk")
    expect(number.friendly_name, "Front desk", "friendly_name")
    expect(client.incoming_phone_numbers(state["number"]).fetch().friendly_name, "Front desk", "fetched")


@check("list numbers with a filter")
def _():
    found = lambda **filters: [n.sid for n in client.incoming_phone_numbers.list(**filters)]
    expect(found(phone_number=state["available"]), [state["number"]], "phone_number")
    expect(found(friendly_name="Front desk"), [state["number"]], "friendly_name")
    expect(found(friendly_name="Nobody"), [], "another friendly_name")
    assert len(found()) >= 2, "the whole list lacks a number"


@check("release a number")
def _():
    expect(client.incoming_phone_numbers(state["number"]).delete(), True, "delete")
    refused(20404, 404, lambda: client.incoming_phone_numbers(state["number"]).fetch())


@check("create and fetch an application")
def _():
    made = client.applications.create(friendly_name="Desk app", sms_url=f"{HOOK}/app")
    assert made.sid.startswith("AP"), made.sid
    fetched = client.applications(made.sid).fetch()
    expect(fetched.friendly_name, "Desk app", "friendly_name")
    expect(fetched.sms_url, f"{HOOK}/app", "sms_url")
    state["app"] = made.sid


@check("update and list applications")
def _():
    expect(client.applications(state["app"]).update(friendly_name="Till").friendly_name, "Till", "friendly_name")
    expect([a.sid for a in client.applications.list(friendly_name="Till")], [state["app"]], "list")
    expect(client.applications.list(friendly_name="Desk app"), [], "list by the old name")


@check("delete an application")
def _():
    expect(client.applications(state["app"]).delete(), True, "delete")
    refused(20404, 404, lambda: client.applications(state["app"]).fetch())


@check("create an API key")
def _():
    key = client.new_keys.create(friendly_name="Story key")
    assert re.fullmatch("SK[0-9a-f]{32}", key.sid), key.sid
    assert re.fullmatch("[0-9a-zA-Z]{32}", key.secret), "secret"
    state["key"], state["secret"] = key.sid, key.secret
    fetched = client.keys(key.sid).fetch()
    expect(fetched.friendly_name, "Story key", "friendly_name")
    assert "secret" not in vars(fetched), "the secret is shown again"


@check("an API key authenticates")
def _():
    keyed = connect(state["key"], state["secret"], ACCOUNT)
    message = keyed.messages.create(to="+14155550101", from_=NUMBER, body="By key")
    expect(message.account_sid, ACCOUNT, "account_sid")
    list_refused(20003, 401, lambda: keyed.keys.list())
    refused(20003, 401, lambda: connect(state["key"], "x" * 32, ACCOUNT).messages(message.sid).fetch())


@check("a deleted API key is refused")
def _():
    expect(client.keys(state["key"]).delete(), True, "delete")
    keyed = connect(state["key"], state["secret"], ACCOUNT)
    refused(20003, 401, lambda: keyed.messages.create(to="+14155550101", from_=NUMBER, body="x"))


@check("create a subaccount")
def _():
    sub = client.api.v2010.accounts.create(friendly_name="Branch")
    assert re.fullmatch("AC[0-9a-f]{32}", sub.sid), sub.sid
    expect(sub.status, "active", "status")
    expect(sub.owner_account_sid, ACCOUNT, "owner_account_sid")
    state["sub"], state["sub_token"] = sub.sid, sub.auth_token
    assert sub.sid in [a.sid for a in client.api.v2010.accounts.list(friendly_name="Branch")], "list"


@check("the parent reaches the subaccount")
def _():
    parent = connect(ACCOUNT, TOKEN, state["sub"])
    found = parent.available_phone_numbers("US").local.list(contains="628", limit=1)
    number = parent.incoming_phone_numbers.create(phone_number=found[0].phone_number)
    expect(number.account_sid, state["sub"], "account_sid of the number")
    message = parent.messages.create(to="+14155550107", from_=number.phone_number, body="Hi")
    expect(message.account_sid, state["sub"], "account_sid of the message")
    child = connect(state["sub"], state["sub_token"])
    expect(child.messages(message.sid).fetch().sid, message.sid, "the child's fetch")
    refused(20404, 404, lambda: client.messages(message.sid).fetch())
    upward = connect(state["sub"], state["sub_token"], ACCOUNT)
    list_refused(20003, 401, lambda: upward.messages.list(limit=1))


@check("rotate an auth token")
def _():
    child = connect(state["sub"], state["sub_token"])
    secondary = child.accounts.v1.secondary_auth_token().create().secondary_auth_token
    assert re.fullmatch("[0-9a-f]{32}", secondary), "secondary token"
    renewed = connect(state["sub"], secondary)
    expect(renewed.balance.fetch().account_sid, state["sub"], "account of the secondary token")
    expect(child.balance.fetch().account_sid, state["sub"], "account of the primary token")
    expect(child.accounts.v1.auth_token_promotion().update().auth_token, secondary, "promoted token")
    expect(renewed.messages.list(limit=1)[0].account_sid, state["sub"], "account of the promoted token")
    refused(20003, 401, lambda: child.balance.fetch())
    state["sub_token"] = secondary


@check("a suspended subaccount is refused")
def _():
    child = connect(state["sub"], state["sub_token"])
    suspended = client.api.v2010.accounts(state["sub"]).update(status="suspended")
    expect(suspended.status, "suspended", "status")
    refused(20005, 403, lambda: child.balance.fetch())
    client.api.v2010.accounts(state["sub"]).update(status="active")
    expect(child.balance.fetch().account_sid, state["sub"], "account_sid")


@check("close a subaccount")
def _():
    closed = client.api.v2010.accounts(state["sub"]).update(status="closed")
    expect(closed.status, "closed", "status")
    refused(20005, 403, lambda: connect(state["sub"], state["sub_token"]).balance.fetch())
    refused(21479, 400, lambda: client.api.v2010.accounts(state["sub"]).update(status="active"))


@check("fetch the balance")
def _():
    balance = client.balance.fetch()
    expect(balance.account_sid, ACCOUNT, "account_sid")
    expect(balance.currency, "USD", "currency")
    float(balance.balance)


test = connect(TEST_ACCOUNT, TEST_TOKEN)


def magic(from_, to):
    return test.messages.create(to=to, from_=from_, body="x")


@check("test credentials send")
def _():
    message = magic("+15005550006", "+14155550108")
    expect(message.status, "queued", "status")
    expect(message.account_sid, TEST_ACCOUNT, "account_sid")
    time.sleep(0.5)
    expect(thread_of("+14155550108"), [], "messages on the phone")


@check("test credentials raise the magic errors")
def _():
    for code, from_, to in [
        (21212, "+15005550001", "+14155550108"),
        (21606, "+15005550007", "+14155550108"),
        (21611, "+15005550008", "+14155550108"),
        (21606, NUMBER, "+14155550108"),
        (21211, "+15005550006", "+15005550001"),
        (21612, "+15005550006", "+15005550002"),
        (21408, "+15005550006", "+15005550003"),
        (21610, "+15005550006", "+15005550004"),
        (21614, "+15005550006", "+15005550009"),
    ]:
        refused(code, 400, lambda: magic(from_, to))
    buy = test.incoming_phone_numbers.create
    expect(buy(phone_number="+15005550006").phone_number, "+15005550006", "number bought")
    refused(21422, 400, lambda: buy(phone_number="+15005550000"))
    refused(21421, 400, lambda: buy(phone_number="+15005550001"))


@check("error 20008: a list with test credentials")
def _():
    list_refused(20008, 403, lambda: test.messages.list(limit=1))


@check("send a picture")
def _():
    message = send("+14155550109", "Look", media_url=[f"{HOOK}/pixel.png"])
    assert re.fullmatch("MM[0-9a-f]{32}", message.sid), message.sid
    expect(message.num_media, "1", "num_media")
    state["picture"] = message.sid
    final(message.sid)


@check("list the media of a message")
def _():
    [media] = client.messages(state["picture"]).media.list()
    assert media.sid.startswith("ME"), media.sid
    expect(media.content_type, "image/png", "content_type")
    expect(media.parent_sid, state["picture"], "parent_sid")
    path = f"/_/api/2010-04-01/Accounts/{ACCOUNT}/Messages/{state['picture']}/Media/{media.sid}"
    with urllib.request.urlopen(URL + path) as response:
        expect(response.read(), PIXEL, "bytes")


@check("the picture is on the phone")
def _():
    [line] = thread_of("+14155550109")
    expect(line["body"], "Look", "body")
    expect(len(line["media"]), 1, "media")


@check("STOP blocks further messages")
def _():
    final(send("+14155550110", "Welcome").sid)
    type_on("+14155550110", "STOP")
    refused(21610, 400, lambda: send("+14155550110", "Still there?"))


@check("START allows them again")
def _():
    type_on("+14155550110", "START")
    final(send("+14155550110", "Welcome back").sid)
    assert "Welcome back" in [m["body"] for m in thread_of("+14155550110")], "not on the phone"


BUSINESS = {
    "business_name": "Owl",
    "business_identity": "direct_customer",
    "business_type": "Corporation",
    "business_industry": "TECHNOLOGY",
    "business_registration_identifier": "EIN",
    "business_registration_number": "12-3456789",
    "business_regions_of_operation": "USA_AND_CANADA",
    "website_url": "https://owl.example",
}
PERSON = {
    "first_name": "Ada",
    "last_name": "Byron",
    "email": "ada@owl.example",
    "phone_number": "+14155550100",
    "business_title": "CEO",
    "job_position": "CEO",
}


def later(hours=0, minutes=0):
    offhook("/clock", {"advance_seconds": hours * 3600 + minutes * 60})


def becomes(context, status, field="status"):
    """The resource, once its vetting has come to this."""
    return until(status, lambda: getattr(it := context.fetch(), field) == status and it)


@check("a customer profile is reviewed")
def _():
    trust = client.trusthub.v1
    primary = "RN6433641899984f951173ef1738c3bdd0"
    profile = trust.customer_profiles.create("Owl", "ada@owl.example", primary)
    context = trust.customer_profiles(profile.sid)
    evaluate = context.customer_profiles_evaluations.create
    expect(evaluate(primary).status, "noncompliant", "evaluation")
    address = {"address_sids": "AD00000000000000000000000000000001"}
    parts = [
        trust.end_users.create("Owl", "customer_profile_business_information", BUSINESS),
        trust.end_users.create("Ada", "authorized_representative_1", PERSON),
        trust.supporting_documents.create("Address", "customer_profile_address", address),
    ]
    for part in parts:
        context.customer_profiles_entity_assignments.create(part.sid)
    expect(evaluate(primary).status, "compliant", "evaluation")

    a2p = "RNb0d4771c2c98518d916a3d4cd70a8f8b"
    product = trust.trust_products.create("Score 80", "ada@owl.example", a2p)
    kind = "us_a2p_messaging_profile_information"
    company = trust.end_users.create("Owl", kind, {"company_type": "private"})
    bundle = trust.trust_products(product.sid)
    for sid in [company.sid, profile.sid]:
        bundle.trust_products_entity_assignments.create(sid)
    for it in [context, bundle]:
        expect(it.update(status="pending-review").status, "pending-review", "status")
    later(minutes=10)
    for it in [context, bundle]:
        becomes(it, "twilio-approved")
    state["bundles"] = profile.sid, product.sid


@check("a brand is vetted")
def _():
    brands = client.messaging.v1.brand_registrations
    brand = brands.create(*state["bundles"])
    expect(brand.status, "PENDING", "status")
    refused(21725, 400, lambda: brand.update())
    later(minutes=10)
    brand = becomes(client.messaging.v1.brand_registrations(brand.sid), "APPROVED")
    expect(brand.brand_score, 80, "brand_score")
    state["brand"] = brand.sid


@check("a campaign is vetted")
def _():
    service = client.messaging.v1.services.create("Codes")
    service = client.messaging.v1.services(service.sid)
    campaign = service.us_app_to_person.create(
        brand_registration_sid=state["brand"],
        description="Codes for people who sign in to the shop at owl.example",
        message_flow="People ask for a code on the sign-in page of owl.example",
        message_samples=["Your Owl code is 123456", "Your new Owl code is 654321"],
        us_app_to_person_usecase="2FA",
        has_embedded_links=False,
        has_embedded_phone=False,
    )
    expect(campaign.campaign_status, "PENDING", "campaign_status")
    later(hours=24)
    campaign = becomes(service.us_app_to_person(campaign.sid), "VERIFIED", "campaign_status")
    expect(campaign.rate_limits["att"]["mps"], 75, "AT&T's rate")
    assert service.fetch().us_app_to_person_registered, "the service is not registered"
    assert campaign.delete(), "not deleted"


@check("a toll-free verification is rejected and corrected")
def _():
    [found] = client.available_phone_numbers("US").toll_free.list(limit=1)
    number = client.incoming_phone_numbers.create(phone_number=found.phone_number)
    verifications = client.messaging.v1.tollfree_verifications
    made = verifications.create(
        business_name="Owl",
        business_website="https://owl.example",
        notification_email="ada@owl.example",
        use_case_categories=["TWO_FACTOR_AUTHENTICATION"],
        use_case_summary="Reject 30446 this",
        production_message_sample="Your Owl code is 123456",
        opt_in_image_urls=["https://owl.example/opt-in.png"],
        opt_in_type="WEB_FORM",
        message_volume="1,000",
        tollfree_phone_number_sid=number.sid,
    )
    context = client.messaging.v1.tollfree_verifications(made.sid)
    later(hours=24)
    rejected = becomes(context, "TWILIO_REJECTED")
    expect((rejected.error_code, rejected.edit_allowed), (30446, True), "error_code")
    context.update(use_case_summary="Codes for customers")
    later(hours=24)
    becomes(context, "TWILIO_APPROVED")
    [listed] = verifications.list(status="TWILIO_APPROVED")
    expect(listed.sid, made.sid, "sid")


@check("deactivated numbers are behind a redirect")
def _():
    found = client.messaging.v1.deactivations().fetch()
    assert "/v1/Deactivations/" in found.redirect_to, found.redirect_to


def code_on(phone, count):
    """The digits of the newest message, once there are `count`."""
    thread = until(f"{count} messages on {phone}", lambda: len(t := thread_of(phone)) >= count and t)
    return re.sub(r"\D", "", thread[0]["body"])


def spoken_on(phone):
    """The digits of the last sentence that was said in the newest call of a phone."""

    def said():
        calls = offhook(f"/handsets/{phone}/calls")["calls"]
        return [line["text"] for line in calls[0]["heard"] if line["sound"] == "say"] if calls else []

    return re.sub(r"\D", "", until(f"something said to {phone}", said)[-1])


def nothing_pending(action):
    return refused(20404, 404, action)


@check("sign up with a code, by text and then by voice")
def _():
    made = client.verify.v2.services.create("Owl", dtmf_input_required=False)
    expect((made.code_length, made.push["include_date"]), (6, False), "code_length and push")
    state["verify"] = service = client.verify.v2.services(made.sid)
    first = service.verifications.create("+14155550160", "sms")
    expect((first.status, first.valid), ("pending", False), "status and valid")
    code = code_on("+14155550160", 1)
    again = service.verifications.create("+14155550160", "call")
    expect((again.sid, again.channel), (first.sid, "call"), "sid and channel")
    expect([a["channel"] for a in again.send_code_attempts], ["SMS", "CALL"], "attempts")
    spoken = spoken_on("+14155550160")
    expect(spoken, code * 2, "spoken twice")
    wrong = f"{(int(code) + 1) % 1000000:06}"
    check = service.verification_checks.create(code=wrong, to="+14155550160")
    expect((check.status, check.valid), ("pending", False), "a wrong code")
    check = service.verification_checks.create(code=code, to="+14155550160")
    expect((check.status, check.valid), ("approved", True), "the right code")
    nothing_pending(lambda: service.verification_checks.create(code=code, to="+14155550160"))
    nothing_pending(lambda: service.verifications(first.sid).fetch())
    attempts = client.verify.v2.verification_attempts.list(verification_sid=first.sid)
    converted = [a.conversion_status for a in attempts]
    expect(converted, ["converted", "unconverted"], "conversion, newest first")
    summary = client.verify.v2.verification_attempts_summary().fetch(verify_service_sid=made.sid)
    expect((summary.total_attempts, summary.total_converted), (2, 1), "summary")


@check("the sixth start and the sixth check")
def _():
    service = state["verify"]
    for _ in range(5):
        service.verifications.create("+14155550161", "sms")
    refused(60203, 429, lambda: service.verifications.create("+14155550161", "sms"))
    code = code_on("+14155550161", 5)
    wrong = f"{(int(code) + 1) % 1000000:06}"
    for _ in range(5):
        check = service.verification_checks.create(code=wrong, to="+14155550161")
        expect(check.status, "pending", "status")
    refused(60202, 429, lambda: service.verification_checks.create(code=code, to="+14155550161"))


@check("a verification expires with the clock")
def _():
    service = state["verify"]
    first = service.verifications.create("+14155550162", "sms")
    code = code_on("+14155550162", 1)
    later(minutes=10)
    nothing_pending(lambda: service.verification_checks.create(code=code, to="+14155550162"))
    assert service.verifications.create("+14155550162", "sms").sid != first.sid
    canceled = service.verifications("+14155550162").update("canceled")
    expect(canceled.status, "canceled", "status")


@check("a rate limit of the program's own")
def _():
    service = state["verify"]
    limit = service.rate_limits.create("ip")
    service.rate_limits(limit.sid).buckets.create(max=1, interval=60)
    wish = {"to": "+14155550163", "channel": "sms", "rate_limits": json.dumps({"ip": "10.0.0.1"})}
    service.verifications.create(**wish)
    refused(20429, 429, lambda: service.verifications.create(**wish))


@check("an authenticator app, which is pyotp")
def _():
    service = state["verify"]
    factors = service.entities("ada-00001").new_factors
    factor = factors.create("Ada's phone", "totp")
    app = pyotp.parse_uri(factor.binding["uri"])
    expect((app.issuer, app.name), ("Owl", "Ada's phone"), "issuer and name")

    def code():
        return app.at(datetime.fromisoformat(offhook("/clock")["now"].replace("Z", "+00:00")))

    context = service.entities("ada-00001").factors(factor.sid)
    refused(60311, 403, lambda: context.update(auth_payload="000"))
    expect(context.update(auth_payload=code()).status, "verified", "status")
    challenges = service.entities("ada-00001").challenges
    expect(challenges.create(factor.sid, auth_payload=code()).status, "pending", "a used code")
    later(minutes=2)
    used = code()
    expect(challenges.create(factor.sid, auth_payload=used).status, "approved", "status")
    expect(challenges.create(factor.sid, auth_payload=used).status, "pending", "a replay")
    assert service.entities("ada-00001").delete(), "not deleted"


def shop():
    """A Messaging Service that sends from the program's number."""
    if "shop" not in state:
        state["shop"] = client.messaging.v1.services.create("Shop").sid
        numbers = client.messaging.v1.services(state["shop"]).phone_numbers
        numbers.create(client.incoming_phone_numbers.list(phone_number=NUMBER)[0].sid)
    return state["shop"]


@check("links are short and their clicks reported")
def _():
    v1, domain, long = client.messaging.v1, "DN" + "0" * 31 + "1", "https://shop.example.com/sale"
    config = v1.domain_config(domain).update(callback_url=f"{HOOK}/click")
    expect(config.callback_url, f"{HOOK}/click", "callback_url")
    expect(v1.domain_config(domain).fetch().config_sid, config.config_sid, "config_sid")
    assert v1.request_managed_cert(domain).update().managed, "not managed"
    assert v1.domain_certs(domain).fetch().certificate_sid.startswith("CW"), "no certificate"
    assert client.messaging.v2.domain_certs(domain).fetch().managed, "not managed in v2"
    assert v1.domain_validate_dns(domain).fetch().is_valid, "not valid"
    service = v1.linkshortening_messaging_service(domain, shop())
    expect(service.create().messaging_service_sid, shop(), "messaging_service_sid")
    by_service = v1.linkshortening_messaging_service_domain_association(shop()).fetch()
    expect(by_service.domain_sid, domain, "domain_sid")
    by_service = v1.domain_config_messaging_service(shop()).fetch()
    expect(by_service.config_sid, config.config_sid, "config_sid")

    phone = "+14155550181"
    sale = {"to": phone, "body": f"Sale: {long}!", "shorten_urls": True}
    refused(30124, 400, lambda: client.messages.create(from_=NUMBER, **sale))
    message = client.messages.create(messaging_service_sid=shop(), **sale)
    body = final(message.sid).body
    short = re.fullmatch(rf"Sale: ({re.escape(URL)}/l/[0-9A-Za-z]{{10}})!", body)
    assert short, body
    expect(thread_of(phone)[0]["body"], body, "body on the phone")
    place = urlsplit(short[1])
    browser = http.client.HTTPConnection(place.netloc)
    browser.request("GET", place.path, headers={"User-Agent": "Phone"})
    answer = browser.getresponse()
    expect((answer.status, answer.headers["Location"]), (302, long), "redirect")
    [click] = until("a click", lambda: hooks("/click"))
    assert validator.validate(click["url"], click["text"], click["signature"]), "not signed"
    told = json.loads(click["text"])
    expect((told["message_sid"], told["link"]), (message.sid, long), "click")
    assert service.delete(), "not deleted"


@check("an opt-out set has its own words")
def _():
    def v3(method, path, data=None):
        headers = {"Content-Type": "application/json"}
        uri = f"https://messaging.twilio.com/v3/OptOuts{path}"
        response = client.request(method, uri, data=data, headers=headers)
        assert response.status_code < 300, response.text
        return json.loads(response.text or "{}")

    own = v3("POST", "", {"friendlyName": "Ours"})["opt_out_sid"]
    word = {"keywordType": "STOP.FRENCH", "messageType": "ALL"}
    v3("POST", f"/{own}/Keywords", {**word, "keyword": "ARRET"})
    v3("POST", f"/{own}/Messages", {**word, "message": "Au revoir"})
    v3("POST", f"/{own}/MessagingServices/{shop()}", {})
    inbound = client.messaging.v1.services(shop()).update(inbound_request_url=f"{HOOK}/opt-out")
    expect(inbound.inbound_request_url, f"{HOOK}/opt-out", "inbound_request_url")
    phone = "+14155550182"

    def again():
        return client.messages.create(messaging_service_sid=shop(), to=phone, body="Again")

    type_on(phone, "arret")
    [heard] = until("the word", lambda: hooks("/opt-out"))
    expect(heard["form"]["OptOutType"], "STOP", "OptOutType")
    until("the answer", lambda: "Au revoir" in [m["body"] for m in thread_of(phone)])
    refused(21610, 400, again)
    type_on(phone, "START")
    until("the second word", lambda: len(hooks("/opt-out")) == 2)
    final(again().sid)
    v3("DELETE", f"/{own}")


def document(build):
    """A voice document by the SDK's own builder."""
    response = VoiceResponse()
    build(response)
    return str(response)


def calls_of(phone):
    return offhook(f"/handsets/{phone}/calls")["calls"]


def through(what, probe):
    """Moves the clock, a second at a time, until `probe` answers something true."""

    def step():
        found = probe()
        if not found:
            offhook("/clock", {"advance_seconds": 1})
        return found

    return until(what, step, seconds=20)


def heard(phone, sound, text):
    lines = calls_of(phone)[0]["heard"]
    return any(line["sound"] == sound and text in (line["text"] or "") for line in lines)


def ended(sid, status="completed"):
    def probe():
        call = client.calls(sid).fetch()
        return call if call.status == status else None

    return through(f"call {sid} {status}", probe)


@check("an IVR that asks with Gather")
def _():
    def menu(response):
        gather = response.gather(num_digits=1, action="/ivr-menu")
        gather.say("Press one for sales")
        response.redirect("/ivr")

    Hook.replies["/ivr"] = document(menu)
    Hook.replies["/ivr-menu"] = document(lambda response: response.say("This is sales"))
    own_number().update(voice_url=f"{HOOK}/ivr", status_callback=f"{HOOK}/ivr-end")
    sid = offhook("/handsets/+14155550171/calls", {"to": NUMBER})["sid"]
    until("the menu is asked for", lambda: hooks("/ivr"))
    through("the menu is said", lambda: heard("+14155550171", "say", "Press one"))
    offhook("/handsets/+14155550171/digits", {"digits": "1"})
    call = ended(sid)
    expect((call.direction, call._from), ("inbound", "+14155550171"), "direction and from")
    chosen = hooks("/ivr-menu")[0]
    expect((chosen["form"]["Digits"], chosen["form"]["CallSid"]), ("1", sid), "Digits and CallSid")
    assert validator.validate(chosen["url"], chosen["form"], chosen["signature"]), "not signed"
    assert heard("+14155550171", "say", "This is sales"), calls_of("+14155550171")[0]["heard"]
    end = until("the status callback", lambda: hooks("/ivr-end"))[0]
    expect(end["form"]["CallStatus"], "completed", "CallStatus")


@check("a call redirected in the middle")
def _():
    wait = document(lambda response: response.pause(length=600))
    call = client.calls.create(
        to="+14155550172",
        from_=NUMBER,
        twiml=wait,
        status_callback=f"{HOOK}/call-status",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
    )
    expect(call.status, "queued", "status")
    ended(call.sid, "in-progress")
    client.calls(call.sid).update(twiml=document(lambda response: response.say("News for you")))
    done = ended(call.sid)
    assert int(done.duration) >= 1 and done.price.startswith("-"), (done.duration, done.price)
    assert heard("+14155550172", "say", "News for you"), calls_of("+14155550172")
    told = until("four callbacks", lambda: len(hooks("/call-status")) >= 4 and hooks("/call-status"))
    statuses = [hook["form"]["CallStatus"] for hook in told]
    expect(statuses, ["initiated", "ringing", "in-progress", "completed"], "statuses")
    assert call.sid in [known.sid for known in client.calls.list(to="+14155550172", limit=5)]
    refused(21220, 400, lambda: client.calls(call.sid).update(status="completed"))


@check("a Dial that nobody answers goes to voicemail")
def _():
    def dial(response):
        response.dial("+14155550174", action="/voicemail", timeout=10)

    def record(response):
        response.say("Leave a message")
        response.record(action="/message", timeout=20, play_beep=True)

    Hook.replies["/desk"] = document(dial)
    Hook.replies["/voicemail"] = document(record)
    Hook.replies["/message"] = document(lambda response: response.hangup())
    offhook("/handsets/+14155550174", {"when_called": "ring"})
    own_number().update(voice_url=f"{HOOK}/desk")
    sid = offhook("/handsets/+14155550173/calls", {"to": NUMBER})["sid"]
    through("the beep", lambda: hooks("/voicemail") and heard("+14155550173", "beep", ""))
    expect(hooks("/voicemail")[0]["form"]["DialCallStatus"], "no-answer", "DialCallStatus")
    time.sleep(0.2)
    offhook("/clock", {"advance_seconds": 1})
    time.sleep(0.2)
    offhook("/handsets/+14155550173/speak", {"text": "Please call me back"})
    ended(sid)
    message = hooks("/message")[0]["form"]
    recording = until(
        "the recording",
        lambda: (found := client.recordings(message["RecordingSid"]).fetch()).status == "completed"
        and found,
    )
    expect((recording.call_sid, recording.source), (sid, "RecordVerb"), "call and source")
    with urllib.request.urlopen(message["RecordingUrl"]) as answer:
        assert answer.read(4) == b"RIFF", "no WAV"
    children = client.calls.list(parent_call_sid=sid, limit=5)
    expect([child.status for child in children], ["no-answer"], "the dialled call")


@check("a card is keyed in on a call, and an agent asks for one")
def _():
    phone = "+14155550177"

    def pay(response):
        verb = response.pay(
            charge_amount="20.45", action=f"{HOOK}/paid", status_callback=f"{HOOK}/pay-steps"
        )
        verb.prompt(for_="payment-card-number").say("Your card number, please")

    def press(digits):
        time.sleep(0.2)
        offhook(f"/handsets/{phone}/digits", {"digits": digits})

    Hook.replies["/paid"] = document(lambda response: response.say("Thank you"))
    sid = client.calls.create(to=phone, from_=NUMBER, twiml=document(pay)).sid
    through("the prompt", lambda: calls_of(phone) and heard(phone, "say", "Your card number, please"))
    press("4242424242424242#")
    through("the next prompt", lambda: heard(phone, "say", "expires"))
    press("1230")
    press("123")
    press("94105#")
    ended(sid)
    paid = hooks("/paid")[0]["form"]
    expect(
        (paid["Result"], paid["PaymentCardNumber"], paid["PaymentCardType"], paid["SecurityCode"]),
        ("success", "xxxx-xxxx-xxxx-4242", "visa", "***"),
        "the result",
    )
    assert paid["PaymentConfirmationCode"], "no confirmation"
    steps = until("five steps", lambda: len(hooks("/pay-steps")) >= 5 and hooks("/pay-steps"))
    expect(steps[0]["form"]["For"], "payment-card-number", "the first step")

    wait = document(lambda response: response.pause(length=600))
    sid = client.calls.create(to=phone, from_=NUMBER, twiml=wait).sid
    ended(sid, "in-progress")
    told = f"{HOOK}/payment"
    payment = client.calls(sid).payments.create(
        idempotency_key="one", status_callback=told, security_code=False, postal_code=False
    )
    assert payment.sid.startswith("PK") and payment.call_sid == sid, payment.sid
    until("the first callback", lambda: hooks("/payment"))
    step = client.calls(sid).payments(payment.sid).update
    refused(64019, 400, lambda: step(idempotency_key="two", status_callback=told, status="complete"))
    for at, (field, keys) in enumerate(
        [("payment-card-number", "5555555555554444"), ("expiration-date", "1130")]
    ):
        step(idempotency_key=f"field {at}", status_callback=told, capture=field)
        press(keys)
    time.sleep(0.2)
    step(idempotency_key="three", status_callback=told, status="complete")
    done = until(
        "the token",
        lambda: [hook["form"] for hook in hooks("/payment") if "Result" in hook["form"]],
    )[0]
    expect((done["Result"], done["PaymentSid"]), ("success", payment.sid), "the result")
    assert done["PaymentToken"] and done["PaymentCardType"] == "mastercard", done
    client.calls(sid).update(status="completed")


@check("calls that cannot be made")
def _():
    say = document(lambda response: response.say("x"))
    refused(21211, 400, lambda: client.calls.create(to="nobody", from_=NUMBER, twiml=say))
    refused(21205, 400, lambda: client.calls.create(to="+14155550172", from_=NUMBER))
    queue = client.queues.create("waiting", max_size=10)
    expect((queue.max_size, queue.current_size), (10, 0), "sizes")
    assert client.queues(queue.sid).delete(), "not deleted"
    expect(client.conferences.list(limit=5), [], "conferences")


@check("a SIP domain with its lists")
def _():
    people = client.sip.credential_lists.create(friendly_name="People")
    credentials = client.sip.credential_lists(people.sid).credentials
    ann = credentials.create(username="ann", password="Correct-Horse-9")
    expect((ann.username, ann.credential_list_sid), ("ann", people.sid), "credential")
    refused(21243, 400, lambda: credentials.create(username="bob", password="weak"))
    office = client.sip.ip_access_control_lists.create(friendly_name="Office")
    addresses = client.sip.ip_access_control_lists(office.sid).ip_addresses
    block = addresses.create(friendly_name="All", ip_address="192.0.2.0", cidr_prefix_length=24)
    expect((block.ip_address, block.cidr_prefix_length), ("192.0.2.0", 24), "address")
    domain = client.sip.domains.create(
        domain_name="python.sip.twilio.com", voice_url=f"{HOOK}/sip", sip_registration=True
    )
    expect((domain.auth_type, domain.sip_registration), ("", True), "auth type and registration")
    context = client.sip.domains(domain.sid)
    context.credential_list_mappings.create(credential_list_sid=people.sid)
    auth = context.auth
    [mapped] = auth.calls.credential_list_mappings.list()
    expect((mapped.sid, mapped.friendly_name), (people.sid, "People"), "the mapping's other name")
    auth.calls.ip_access_control_list_mappings.create(ip_access_control_list_sid=office.sid)
    auth.registrations.credential_list_mappings.create(credential_list_sid=people.sid)
    expect(context.fetch().auth_type, "CREDENTIAL_LIST,IP_ACL", "auth type")
    refused(21241, 400, lambda: client.sip.credential_lists(people.sid).delete())
    assert context.update(domain_name="python2.sip.twilio.com").domain_name.startswith("python2")
    assert context.delete(), "not deleted"
    assert client.sip.credential_lists(people.sid).delete(), "not deleted"
    assert client.sip.ip_access_control_lists(office.sid).delete(), "not deleted"


@check("a trunk with a number")
def _():
    trunk = client.trunking.v1.trunks.create(
        friendly_name="PBX", domain_name="python.pstn.twilio.com", secure=True
    )
    expect((trunk.secure, trunk.transfer_mode), (True, "disable-all"), "secure and transfer mode")
    context = client.trunking.v1.trunks(trunk.sid)
    url = context.origination_urls.create(
        weight=10, priority=20, enabled=True, friendly_name="main", sip_url="sip:pbx.example.com"
    )
    expect((url.priority, url.sip_url), (20, "sip:pbx.example.com"), "origination")
    expect(context.recordings().update(mode="record-from-answer").mode, "record-from-answer", "mode")
    number = own_number().fetch().sid
    taken = context.phone_numbers.create(phone_number_sid=number)
    expect((taken.trunk_sid, taken.phone_number), (trunk.sid, NUMBER), "the number")
    expect([found.sid for found in context.phone_numbers.list()], [number], "numbers")
    refused(21247, 400, context.delete)
    assert context.phone_numbers(number).delete(), "not taken away"
    assert context.delete(), "not deleted"


@check("a carrier of one's own")
def _():
    voice = client.voice.v1
    policy = voice.connection_policies.create(friendly_name="Out")
    target = voice.connection_policies(policy.sid).targets.create(target="sip:carrier.example.com")
    expect((target.priority, target.weight, target.enabled), (10, 10, True), "target")
    trunk = voice.byoc_trunks.create(connection_policy_sid=policy.sid, friendly_name="Mine")
    domain = client.sip.domains.create(
        domain_name="byoc-python.sip.twilio.com", byoc_trunk_sid=trunk.sid
    )
    record = voice.ip_records.create(ip_address="198.51.100.7", friendly_name="Carrier")
    mapping = voice.source_ip_mappings.create(ip_record_sid=record.sid, sip_domain_sid=domain.sid)
    expect(mapping.sip_domain_sid, domain.sid, "domain")
    refused(21233, 400, lambda: client.sip.domains(domain.sid).delete())
    for context in [
        voice.source_ip_mappings(mapping.sid),
        voice.ip_records(record.sid),
        client.sip.domains(domain.sid),
        voice.byoc_trunks(trunk.sid),
        voice.connection_policies(policy.sid),
    ]:
        assert context.delete(), "not deleted"


@check("dialing permissions")
def _():
    permissions = client.voice.v1.dialing_permissions
    say = document(lambda response: response.say("x"))

    def permit(flag):
        update = [{"iso_code": "DE", "low_risk_numbers_enabled": flag}]
        made = permissions.bulk_country_updates.create(update_request=json.dumps(update))
        expect(made.update_count, 1, "count")

    permit("false")
    country = permissions.countries("DE").fetch()
    expect((country.continent, country.low_risk_numbers_enabled), ("EUROPE", False), "country")
    prefixes = permissions.countries("DE").highrisk_special_prefixes.list()
    assert "+49900" in [one.prefix for one in prefixes], prefixes
    call = lambda: client.calls.create(to="+4930123456", from_=NUMBER, twiml=say)
    refused(21215, 400, call)
    permit("true")
    expect(call().status, "queued", "status")
    expect(permissions.settings().fetch().dialing_permissions_inheritance, True, "inheritance")
    assert len(permissions.countries.list(continent="EUROPE", page_size=100)) > 40, "countries"


@check("a recording that pauses, and messages of programs")
def _():
    wait = document(lambda response: response.pause(length=600))
    call = client.calls.create(to="client:python", from_=NUMBER, twiml=wait)
    ended(call.sid, "in-progress")
    context = client.calls(call.sid)
    recording = context.recordings.create()
    paused = context.recordings("Twilio.CURRENT").update(status="paused", pause_behavior="skip")
    expect((paused.sid, paused.status), (recording.sid, "paused"), "paused")
    resumed = context.recordings(recording.sid).update(status="in-progress")
    expect(resumed.status, "in-progress", "resumed")
    context.user_defined_message_subscriptions.create(callback=f"{HOOK}/said")
    offhook("/handsets/client:python/user-messages", {"hello": "world"})
    said = until("what the program said", lambda: hooks("/said"))[0]
    expect(json.loads(said["form"]["Content"]), {"hello": "world"}, "Content")
    assert validator.validate(said["url"], said["form"], said["signature"]), "not signed"
    sent = context.user_defined_messages.create(content='{"step":1}', idempotency_key="a")
    assert sent.sid.startswith("KX"), sent.sid
    until("the message", lambda: heard("client:python", "message", '{"step":1}'))
    context.update(status="completed")


@check("insights of a call")
def _():
    say = document(lambda response: response.say("Hello"))
    call = client.calls.create(to="+14155550175", from_=NUMBER, twiml=say)
    ended(call.sid)
    context = client.insights.v1.calls(call.sid)
    summary = context.summary().fetch()
    expect((summary.call_state, summary.call_type), ("completed", "carrier"), "state and type")
    expect((summary.processing_state, summary.carrier_edge), ("complete", None), "processing, edge")
    names = [event.name for event in context.events.list()]
    expect(names[-2:], ["in_progress", "completed"], "events")
    expect(context.metrics.list(), [], "metrics")
    noted = context.annotation().update(call_score=4, quality_issues="echo", spam=False)
    expect((noted.call_score, noted.quality_issues), (4, ["echo"]), "annotation")
    summaries = client.insights.v1.call_summaries.list(to="+14155550175", start_time="1h", limit=5)
    expect([one.call_sid for one in summaries], [call.sid], "summaries")
    expect(client.insights.v1.settings().fetch().advanced_features, True, "features")


print(f"python: {passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
