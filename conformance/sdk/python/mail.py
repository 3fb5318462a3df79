"""The story of the official Python library of SendGrid as an unmodified client of Offhook.

A second instance delivers to a real SMTP server (aiosmtpd), whose mail a DKIM verifier of
somebody else's (dkimpy) checks.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dkim
from aiosmtpd.controller import Controller
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.eventwebhook import EventWebhook
from sendgrid.helpers.mail import Attachment, CustomArg, Mail, Personalization, To

URL = os.environ["OFFHOOK_URL"]
KEY = "SG." + "k" * 22 + "." + "s" * 43
passed = failed = 0


def check(name):
    """Runs a step and prints its line."""

    def run(step):
        global passed, failed
        try:
            step()
            passed += 1
            print(f"ok python mail: {name}", flush=True)
        except Exception as error:
            failed += 1
            why = " ".join(str(error).split()) or type(error).__name__
            print(f"not ok python mail: {name}: {type(error).__name__}: {why}", flush=True)

    return run


def expect(got, wanted, what):
    assert got == wanted, f"{what} is {got!r}, not {wanted!r}"


class Hook(BaseHTTPRequestHandler):
    """Webhooks of this program."""

    seen = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        Hook.seen.append((self.path, self.headers, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


hooks = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
threading.Thread(target=hooks.serve_forever, daemon=True).start()
HOOKS = f"http://127.0.0.1:{hooks.server_port}"
client = SendGridAPIClient(KEY, host=URL)


def own(path, body=None, url=URL, method=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/_offhook/v1/{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def until(probe, what):
    for _ in range(200):
        found = probe()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within ten seconds")


def mailbox(address):
    return until(lambda: own(f"mailboxes/{address}/mails")["mails"], f"mail for {address}")


def mail(to, **more):
    values = {"subject": "Hello", "plain_text_content": "Hello there", **more}
    return Mail(from_email="shop@example.com", to_emails=to, **values)


def refused(status, field, action):
    try:
        action()
    except HTTPError as error:
        expect(error.status_code, status, "status")
        errors = json.loads(error.body)["errors"]
        assert any(one["field"] == field for one in errors), errors
        assert all(set(one) == {"message", "field", "help"} for one in errors), errors
        return
    raise AssertionError("it was accepted")


@check("a mail with an attachment arrives")
def _():
    message = mail("ann@example.com", html_content="<p>Hello</p>")
    content = base64.b64encode(b"hello").decode()
    message.attachment = Attachment(content, "a.txt", "text/plain", "attachment")
    response = client.send(message)
    expect(response.status_code, 202, "status")
    [found] = mailbox("ann@example.com")
    assert found["id"].startswith(response.headers["X-Message-Id"]), found["id"]
    expect(found["files"][0]["content"], content, "the file")


@check("personalizations with substitutions are mails of their own")
def _():
    message = mail(None, subject="Hi -name-")
    for name in ["bea", "cy"]:
        one = Personalization()
        one.add_to(To(f"{name}@example.com", substitutions={"-name-": name}))
        message.add_personalization(one)
    expect(client.send(message).status_code, 202, "status")
    expect(mailbox("bea@example.com")[0]["subject"], "Hi bea", "subject")
    expect(mailbox("cy@example.com")[0]["subject"], "Hi cy", "subject")


@check("what is wrong is named")
def _():
    refused(400, "personalizations.0.to.0.email", lambda: client.send(mail("nobody@example")))
    empty = {"personalizations": [{"to": [{"email": "a@example.com"}]}], "from": {"email": "b@example.com"}}
    refused(400, "subject", lambda: client.client.mail.send.post(request_body=empty))
    stranger = SendGridAPIClient("nothing", host=URL)
    refused(401, None, lambda: stranger.send(mail("ann@example.com")))


@check("a dynamic template renders")
def _():
    made = json.loads(client.client.templates.post(request_body={"name": "r", "generation": "dynamic"}).body)
    version = {"name": "v", "subject": "Order {{order}}", "active": 1,
               "html_content": "{{#each items}}<b>{{this.name}}</b>{{/each}}"}
    client.client.templates._(made["id"]).versions.post(request_body=version)
    message = Mail(from_email="shop@example.com", to_emails="dee@example.com")
    message.template_id = made["id"]
    message.dynamic_template_data = {"order": 7, "items": [{"name": "cup"}, {"name": "tea"}]}
    client.send(message)
    [found] = mailbox("dee@example.com")
    expect(found["subject"], "Order 7", "subject")
    assert "<b>cup</b><b>tea</b>" in found["html"], found["html"]


@check("events are signed as the library verifies them")
def _():
    settings = {"url": f"{HOOKS}/events", "enabled": True, "delivered": True, "bounce": True, "open": True}
    made = json.loads(client.client.user.webhooks.event.settings.post(request_body=settings).body)
    signed = client.client.user.webhooks.event.settings.signed._(made["id"])
    key = json.loads(signed.patch(request_body={"enabled": True}).body)["public_key"]
    message = mail("opens@mailbox.test", html_content="<p>Hi</p>")
    message.custom_arg = CustomArg("order", "17")
    client.send(message)
    client.send(mail("bounces@mailbox.test"))

    def events():
        posts = [seen for seen in Hook.seen if seen[0] == "/events"]
        found = [event for post in posts for event in json.loads(post[2])]
        return found if {"delivered", "bounce", "open"} <= {one["event"] for one in found} else None

    found = until(events, "events")
    assert {one.get("order") for one in found if one["event"] == "open"} == {"17"}, found
    webhook = EventWebhook(key)
    for _, headers, body in Hook.seen:
        signature = headers["X-Twilio-Email-Event-Webhook-Signature"]
        stamp = headers["X-Twilio-Email-Event-Webhook-Timestamp"]
        assert webhook.verify_signature(body.decode(), signature, stamp), "a signature does not verify"
        assert not webhook.verify_signature(body.decode() + " ", signature, stamp), "anything verifies"


class Taken:
    """What the SMTP server was handed."""

    mails = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        Taken.mails.append((envelope.mail_from, envelope.content))
        return "250 OK"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@check("a real SMTP server takes mail whose DKIM signature verifies")
def _():
    folder = tempfile.mkdtemp()
    there = Controller(Taken(), hostname="127.0.0.1", port=free_port())
    there.start()
    port = free_port()
    with open(f"{folder}/offhook.toml", "w") as file:
        file.write("[carriers.smtp]\nhostname = 'mx.example.com'\n[carriers.smtp.smarthost]\n"
                   f"host = '127.0.0.1'\nport = {there.port}\ntls = false\n")
    instance = subprocess.Popen(
        [os.environ["OFFHOOK_BIN"], "up", "--listen", f"127.0.0.1:{port}", "--data", f"{folder}/data",
         "--config", f"{folder}/offhook.toml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"

        def is_up():
            try:
                return urllib.request.urlopen(f"{url}/healthz", timeout=2).status == 200
            except OSError:
                return False

        until(is_up, "the second instance")
        sender = SendGridAPIClient(KEY, host=url)
        domains = sender.client.whitelabel.domains
        domain = json.loads(domains.post(request_body={"domain": "example.com"}).body)
        assert json.loads(domains._(domain["id"]).validate.post().body)["valid"]
        message = mail("reader@there.example", html_content="<p>Grüße\r\n.</p>  \r\n\r\n")
        message.attachment = Attachment(base64.b64encode(os.urandom(100_000)).decode(), "x.bin")
        sender.send(message)
        _, content = until(lambda: Taken.mails, "a mail")[0]
        record = domain["dns"]["dkim"]

        def dns(name, timeout=5):
            expect(name.decode().rstrip("."), record["host"], "the name of the record")
            return record["data"].encode()

        assert dkim.verify(content, dnsfunc=dns), "the signature does not verify"
        changed = content.replace(b"Subject: Hello", b"Subject: Howdy")
        assert not dkim.verify(changed, dnsfunc=dns), "anything verifies"
        sender.send(mail("nobody@there.example"))
        found = until(lambda: json.loads(sender.client.suppression.bounces.get().body), "a bounce")
        expect((found[0]["email"], found[0]["status"]), ("nobody@there.example", "5.1.1"), "the bounce")
    finally:
        instance.terminate()
        instance.wait(timeout=30)
        there.stop()
        shutil.rmtree(folder)


print(f"python mail: {passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
