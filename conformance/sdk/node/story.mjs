// The story of the official Node SDK as an unmodified client of Offhook.

import crypto from "node:crypto";
import http from "node:http";
import twilio from "twilio";

const { OFFHOOK_URL, TWILIO_PHONE_NUMBER, TEST_ACCOUNT_SID, TEST_AUTH_TOKEN } = process.env;
const [ACCOUNT, TOKEN] = [process.env.TWILIO_ACCOUNT_SID, process.env.TWILIO_AUTH_TOKEN];
const PIXEL = Buffer.from(
  "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489" +
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082",
  "hex",
);

/** Sends requests of X.twilio.com to /_/X/ of the instance. */
class OffhookClient extends twilio.RequestClient {
  request(opts) {
    const url = new URL(opts.uri);
    const product = url.hostname.split(".")[0];
    return super.request({ ...opts, uri: `${OFFHOOK_URL}/_/${product}${url.pathname}${url.search}` });
  }
}

function connect(user, password, accountSid) {
  return twilio(user, password, { accountSid, httpClient: new OffhookClient() });
}

/** Webhooks and media of this program. */
const seen = [];
const replies = {};
const server = http.createServer((request, response) => {
  let text = "";
  request.on("data", (chunk) => (text += chunk));
  request.on("end", () => {
    const url = `http://${request.headers.host}${request.url}`;
    const { pathname: path, searchParams } = new URL(url);
    if (path === "/pixel.png") {
      response.writeHead(200, { "Content-Type": "image/png", "Content-Length": PIXEL.length });
      response.end(request.method === "HEAD" ? undefined : PIXEL);
      return;
    }
    seen.push({
      method: request.method,
      path,
      url,
      form: Object.fromEntries(new URLSearchParams(text)),
      query: Object.fromEntries(searchParams),
      text,
      signature: request.headers["x-twilio-signature"] ?? "",
    });
    response.writeHead(200, { "Content-Type": "text/xml" });
    response.end(replies[path] ?? "");
  });
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const HOOK = `http://127.0.0.1:${server.address().port}`;

const client = connect(ACCOUNT, TOKEN);
const state = {};
let passed = 0;
let failed = 0;

async function check(name, step) {
  try {
    await step();
    passed += 1;
    console.log(`ok node ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok node ${name}: ${String(error.message || error).replace(/\s+/g, " ")}`);
  }
}

function expect(got, wanted, what) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${what} is ${a}, not ${b}`);
}

function ensure(holds, why) {
  if (!holds) throw new Error(why);
}

/** The error that `action` must raise. */
async function refused(code, status, action) {
  let error;
  try {
    await action();
  } catch (raised) {
    error = raised;
  }
  ensure(error, `no error, ${code} expected`);
  ensure(error.constructor.name === "RestException", `${error}`);
  expect(error.code, code, "code");
  expect(error.status, status, "status");
  expect(error.moreInfo, `https://www.twilio.com/docs/errors/${code}`, "moreInfo");
  ensure(error.message, "the exception has no message");
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Polls until `probe` answers something true. */
async function until(what, probe, seconds = 5) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await probe();
    if (found) return found;
    ensure(Date.now() < end, `${what} within ${seconds} s`);
    await sleep(50);
  }
}

async function offhook(path, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch(`${OFFHOOK_URL}/_offhook/v1${path}`, options);
  ensure(response.ok, `${path} answered ${response.status}`);
  return response.json();
}

const typeOn = async (phone, body) =>
  (await offhook(`/handsets/${phone}/messages`, { to: TWILIO_PHONE_NUMBER, body })).sid;
const threadOf = async (phone) => (await offhook(`/handsets/${phone}/messages`)).messages;
const hooks = (path) => seen.filter((hook) => hook.path === path);
const firstHook = (path) => until(`a webhook of ${path}`, () => hooks(path)[0]);
const send = (to, body = "Hello", more = {}) =>
  client.messages.create({ to, from: TWILIO_PHONE_NUMBER, body, ...more });
const delivered = (sid) =>
  until(`${sid} delivered`, async () => {
    const message = await client.messages(sid).fetch();
    return message.status === "delivered" && message;
  });
const sids = (rows) => rows.map((row) => row.sid);

async function ownNumber() {
  const [number] = await client.incomingPhoneNumbers.list({ phoneNumber: TWILIO_PHONE_NUMBER });
  return client.incomingPhoneNumbers(number.sid);
}

await check("create a message", async () => {
  const message = await send("+14155550101", "Hello from Node");
  expect(message.status, "queued", "status");
  expect(message.numSegments, "1", "numSegments");
  expect(message.direction, "outbound-api", "direction");
  expect(message.from, TWILIO_PHONE_NUMBER, "from");
  ensure(/^SM[0-9a-f]{32}$/.test(message.sid), message.sid);
  ensure(message.dateCreated instanceof Date && !isNaN(message.dateCreated), "dateCreated");
  expect((await send("+14155550101", "é".repeat(161))).numSegments, "2", "numSegments of 161");
  expect((await send("+14155550101", "ж".repeat(71))).numSegments, "2", "numSegments of 71 UCS-2");
  state.message = message.sid;
});

await check("fetch a message", async () => {
  const message = await client.messages(state.message).fetch();
  expect(message.sid, state.message, "sid");
  expect(message.to, "+14155550101", "to");
  expect(message.body, "Hello from Node", "body");
  expect(message.accountSid, ACCOUNT, "accountSid");
});

await check("a message is delivered", async () => {
  const message = await delivered(state.message);
  expect(message.errorCode, null, "errorCode");
  ensure(message.dateSent instanceof Date && !isNaN(message.dateSent), "dateSent");
});

await check("list messages by pages", async () => {
  const sent = [];
  for (let n = 0; n < 7; n += 1) sent.unshift((await send("+14155550102", `Page ${n}`)).sid);
  const to = "+14155550102";
  const [sizes, walked] = [[], []];
  for (let page = await client.messages.page({ to, pageSize: 3 }); page; page = await page.nextPage()) {
    sizes.push(page.instances.length);
    walked.push(...sids(page.instances));
  }
  expect(sizes, [3, 3, 1], "page sizes");
  expect(walked, sent, "walked SIDs");
  const streamed = [];
  await new Promise((resolve, reject) =>
    client.messages.each({
      to,
      pageSize: 2,
      callback: (message) => streamed.push(message.sid),
      done: (error) => (error ? reject(error) : resolve()),
    }),
  );
  expect(streamed, sent, "streamed SIDs");
  const everything = sids(await client.messages.list({ pageSize: 3 }));
  expect(new Set(everything).size, everything.length, "distinct SIDs of the whole list");
  ensure(sent.every((sid) => everything.includes(sid)), "the whole list lacks a message");
});

await check("list messages with filters", async () => {
  const to = "+14155550103";
  const { sid } = await send(to);
  await delivered(sid);
  const hours = (n) => new Date(Date.now() + n * 3_600_000);
  const day = (n) => new Date(`${hours(n * 24).toISOString().slice(0, 10)}T00:00:00Z`);
  const found = async (filters) => sids(await client.messages.list({ to, ...filters }));
  expect(await found({}), [sid], "to");
  expect(await found({ from: TWILIO_PHONE_NUMBER }), [sid], "from");
  expect(await found({ from: "+14155550199" }), [], "another from");
  expect(await found({ dateSent: day(0) }), [sid], "dateSent today");
  expect(await found({ dateSent: day(-2) }), [], "dateSent two days ago");
  expect(await found({ dateSentAfter: hours(-1) }), [sid], "dateSentAfter");
  expect(await found({ dateSentAfter: hours(1) }), [], "dateSentAfter the future");
  expect(await found({ dateSentBefore: hours(1) }), [sid], "dateSentBefore");
  expect(await found({ dateSentBefore: hours(-1) }), [], "dateSentBefore the past");
});

await check("redact a message", async () => {
  expect((await client.messages(state.message).update({ body: "" })).body, "", "body of the answer");
  expect((await client.messages(state.message).fetch()).body, "", "body fetched");
});

await check("delete a message", async () => {
  expect(await client.messages(state.message).remove(), true, "remove");
  await refused(20404, 404, () => client.messages(state.message).fetch());
});

await check("error 21211: a bad To", () => refused(21211, 400, () => send("+1415")));

await check("error 21603: no sender", () =>
  refused(21603, 400, () => client.messages.create({ to: "+14155550101", body: "x" })));

await check("error 21604: no recipient", () => refused(21604, 400, () => send("")));

await check("error 21617: a long body", () =>
  refused(21617, 400, () => send("+14155550101", "x".repeat(1601))));

await check("error 20003: a wrong token", () => {
  const wrong = connect(ACCOUNT, "0".repeat(32));
  const message = { to: "+14155550101", from: TWILIO_PHONE_NUMBER, body: "x" };
  return refused(20003, 401, () => wrong.messages.create(message));
});

await check("error 20404: an unknown SID", () =>
  refused(20404, 404, () => client.messages(`SM${"0".repeat(32)}`).fetch()));

await check("status callbacks arrive in order and signed", async () => {
  const { sid } = await send("+14155550104", "Hello", { statusCallback: `${HOOK}/status` });
  await until("three callbacks", () => hooks("/status").length >= 3);
  await delivered(sid);
  const statuses = hooks("/status").map((hook) => hook.form.MessageStatus);
  expect(statuses, ["sending", "sent", "delivered"], "statuses");
  for (const { method, form, url, signature } of hooks("/status")) {
    expect(method, "POST", "method");
    expect(form.MessageSid, sid, "MessageSid");
    expect(form.AccountSid, ACCOUNT, "AccountSid");
    ensure(twilio.validateRequest(TOKEN, signature, url, form), "bad signature");
    const tampered = { ...form, MessageStatus: "failed" };
    ensure(!twilio.validateRequest(TOKEN, signature, url, tampered), "no signature");
  }
});

await check("an inbound message reaches the webhook signed", async () => {
  const reply = new twilio.twiml.MessagingResponse();
  reply.message("You said <hi> & it works");
  replies["/sms"] = reply.toString();
  const number = await (await ownNumber()).update({ smsUrl: `${HOOK}/sms`, smsMethod: "POST" });
  expect(number.smsUrl, `${HOOK}/sms`, "smsUrl");
  const sid = await typeOn("+14155550105", "hi über & out");
  const { method, form, url, signature } = await firstHook("/sms");
  expect(method, "POST", "method");
  expect(form.From, "+14155550105", "From");
  expect(form.To, TWILIO_PHONE_NUMBER, "To");
  expect(form.Body, "hi über & out", "Body");
  expect(form.NumMedia, "0", "NumMedia");
  expect(form.MessageSid, sid, "MessageSid");
  expect(form.AccountSid, ACCOUNT, "AccountSid");
  ensure(twilio.validateRequest(TOKEN, signature, url, form), "bad signature");
  const message = await client.messages(sid).fetch();
  expect([message.direction, message.status], ["inbound", "received"], "direction and status");
});

await check("a TwiML reply reaches the phone", async () => {
  const line = await until("the reply", async () =>
    (await threadOf("+14155550105")).find((one) => one.direction === "received"),
  );
  expect(line.body, "You said <hi> & it works", "body");
  expect(line.peer, TWILIO_PHONE_NUMBER, "peer");
  expect((await client.messages(line.sid).fetch()).direction, "outbound-reply", "direction");
});

await check("a GET webhook is signed", async () => {
  await (await ownNumber()).update({ smsUrl: `${HOOK}/get?kept=1`, smsMethod: "GET" });
  const sid = await typeOn("+14155550106", "by GET & more");
  const { method, query, url, signature } = await firstHook("/get");
  expect(method, "GET", "method");
  expect(query.kept, "1", "own query");
  expect(query.Body, "by GET & more", "Body");
  expect(query.MessageSid, sid, "MessageSid");
  ensure(twilio.validateRequest(TOKEN, signature, url, {}), "bad signature");
  const cleared = await (await ownNumber()).update({ smsUrl: "", smsMethod: "POST" });
  expect(cleared.smsUrl || "", "", "smsUrl");
});

await check("search available numbers", async () => {
  const found = await client.availablePhoneNumbers("US").local.list({ contains: "415", limit: 5 });
  ensure(found.length > 0 && found.length <= 5, `${found.length} numbers`);
  for (const number of found) {
    ensure(/^\+1\d*415/.test(number.phoneNumber), number.phoneNumber);
    expect(number.isoCountry, "US", "isoCountry");
    expect(number.capabilities.sms ?? number.capabilities.SMS, true, "SMS capability");
  }
  state.available = found[0].phoneNumber;
});

await check("buy a number", async () => {
  const number = await client.incomingPhoneNumbers.create({ phoneNumber: state.available });
  expect(number.phoneNumber, state.available, "phoneNumber");
  ensure(number.sid.startsWith("PN"), number.sid);
  expect(number.capabilities.sms, true, "sms capability");
  state.number = number.sid;
});

await check("update a number", async () => {
  const number = await client.incomingPhoneNumbers(state.number).update({ friendlyName: "Front desk" });
  expect(number.friendlyName, "Front desk", "friendlyName");
  expect((await client.incomingPhoneNumbers(state.number).fetch()).friendlyName, "Front desk", "fetched");
});

await check("list numbers with a filter", async () => {
  const found = async (filters) => sids(await client.incomingPhoneNumbers.list(filters));
  expect(await found({ phoneNumber: state.available }), [state.number], "phoneNumber");
  expect(await found({ friendlyName: "Front desk" }), [state.number], "friendlyName");
  expect(await found({ friendlyName: "Nobody" }), [], "another friendlyName");
  ensure((await found({})).length >= 2, "the whole list lacks a number");
});

await check("release a number", async () => {
  expect(await client.incomingPhoneNumbers(state.number).remove(), true, "remove");
  await refused(20404, 404, () => client.incomingPhoneNumbers(state.number).fetch());
});

await check("create and fetch an application", async () => {
  const made = await client.applications.create({ friendlyName: "Desk app", smsUrl: `${HOOK}/app` });
  ensure(made.sid.startsWith("AP"), made.sid);
  const fetched = await client.applications(made.sid).fetch();
  expect(fetched.friendlyName, "Desk app", "friendlyName");
  expect(fetched.smsUrl, `${HOOK}/app`, "smsUrl");
  state.app = made.sid;
});

await check("update and list applications", async () => {
  const updated = await client.applications(state.app).update({ friendlyName: "Till" });
  expect(updated.friendlyName, "Till", "friendlyName");
  expect(sids(await client.applications.list({ friendlyName: "Till" })), [state.app], "list");
  expect(sids(await client.applications.list({ friendlyName: "Desk app" })), [], "list by the old name");
});

await check("delete an application", async () => {
  expect(await client.applications(state.app).remove(), true, "remove");
  await refused(20404, 404, () => client.applications(state.app).fetch());
});

await check("create an API key", async () => {
  const key = await client.newKeys.create({ friendlyName: "Story key" });
  ensure(/^SK[0-9a-f]{32}$/.test(key.sid), key.sid);
  ensure(/^[0-9a-zA-Z]{32}$/.test(key.secret), "secret");
  Object.assign(state, { key: key.sid, secret: key.secret });
  const fetched = await client.keys(key.sid).fetch();
  expect(fetched.friendlyName, "Story key", "friendlyName");
  ensure(!("secret" in fetched), "the secret is shown again");
});

const hello = { to: "+14155550101", from: TWILIO_PHONE_NUMBER, body: "By key" };

await check("an API key authenticates", async () => {
  const keyed = connect(state.key, state.secret, ACCOUNT);
  const message = await keyed.messages.create(hello);
  expect(message.accountSid, ACCOUNT, "accountSid");
  await refused(20003, 401, () => keyed.keys.list());
  const wrong = connect(state.key, "x".repeat(32), ACCOUNT);
  await refused(20003, 401, () => wrong.messages(message.sid).fetch());
});

await check("a deleted API key is refused", async () => {
  expect(await client.keys(state.key).remove(), true, "remove");
  const keyed = connect(state.key, state.secret, ACCOUNT);
  await refused(20003, 401, () => keyed.messages.create(hello));
});

const accounts = client.api.v2010.accounts;

await check("create a subaccount", async () => {
  const sub = await accounts.create({ friendlyName: "Branch" });
  ensure(/^AC[0-9a-f]{32}$/.test(sub.sid), sub.sid);
  expect(sub.status, "active", "status");
  expect(sub.ownerAccountSid, ACCOUNT, "ownerAccountSid");
  Object.assign(state, { sub: sub.sid, subToken: sub.authToken });
  ensure(sids(await accounts.list({ friendlyName: "Branch" })).includes(sub.sid), "list");
});

await check("the parent reaches the subaccount", async () => {
  const parent = connect(ACCOUNT, TOKEN, state.sub);
  const [found] = await parent.availablePhoneNumbers("US").local.list({ contains: "628", limit: 1 });
  const number = await parent.incomingPhoneNumbers.create({ phoneNumber: found.phoneNumber });
  expect(number.accountSid, state.sub, "accountSid of the number");
  const message = await parent.messages.create({ to: "+14155550107", from: number.phoneNumber, body: "Hi" });
  expect(message.accountSid, state.sub, "accountSid of the message");
  const child = connect(state.sub, state.subToken);
  expect((await child.messages(message.sid).fetch()).sid, message.sid, "the child's fetch");
  await refused(20404, 404, () => client.messages(message.sid).fetch());
  const upward = connect(state.sub, state.subToken, ACCOUNT);
  await refused(20003, 401, () => upward.messages.list({ limit: 1 }));
});

await check("rotate an auth token", async () => {
  const child = connect(state.sub, state.subToken);
  const { secondaryAuthToken } = await child.accounts.v1.secondaryAuthToken().create();
  ensure(/^[0-9a-f]{32}$/.test(secondaryAuthToken), "secondary token");
  const renewed = connect(state.sub, secondaryAuthToken);
  expect((await renewed.balance.fetch()).accountSid, state.sub, "account of the secondary token");
  expect((await child.balance.fetch()).accountSid, state.sub, "account of the primary token");
  const promoted = await child.accounts.v1.authTokenPromotion().update();
  expect(promoted.authToken, secondaryAuthToken, "promoted token");
  const [message] = await renewed.messages.list({ limit: 1 });
  expect(message.accountSid, state.sub, "account of the promoted token");
  await refused(20003, 401, () => child.balance.fetch());
  state.subToken = secondaryAuthToken;
});

await check("a suspended subaccount is refused", async () => {
  const child = connect(state.sub, state.subToken);
  const suspended = await accounts(state.sub).update({ status: "suspended" });
  expect(suspended.status, "suspended", "status");
  await refused(20005, 403, () => child.balance.fetch());
  await accounts(state.sub).update({ status: "active" });
  expect((await child.balance.fetch()).accountSid, state.sub, "accountSid");
});

await check("close a subaccount", async () => {
  const closed = await accounts(state.sub).update({ status: "closed" });
  expect(closed.status, "closed", "status");
  await refused(20005, 403, () => connect(state.sub, state.subToken).balance.fetch());
  await refused(21479, 400, () => accounts(state.sub).update({ status: "active" }));
});

await check("fetch the balance", async () => {
  const balance = await client.balance.fetch();
  expect(balance.accountSid, ACCOUNT, "accountSid");
  expect(balance.currency, "USD", "currency");
  ensure(Number.isFinite(Number(balance.balance)), balance.balance);
});

const test = connect(TEST_ACCOUNT_SID, TEST_AUTH_TOKEN);
const magic = (from, to) => test.messages.create({ to, from, body: "x" });

await check("test credentials send", async () => {
  const message = await magic("+15005550006", "+14155550108");
  expect(message.status, "queued", "status");
  expect(message.accountSid, TEST_ACCOUNT_SID, "accountSid");
  await sleep(500);
  expect(await threadOf("+14155550108"), [], "messages on the phone");
});

await check("test credentials raise the magic errors", async () => {
  for (const [code, from, to] of [
    [21212, "+15005550001", "+14155550108"],
    [21606, "+15005550007", "+14155550108"],
    [21611, "+15005550008", "+14155550108"],
    [21606, TWILIO_PHONE_NUMBER, "+14155550108"],
    [21211, "+15005550006", "+15005550001"],
    [21612, "+15005550006", "+15005550002"],
    [21408, "+15005550006", "+15005550003"],
    [21610, "+15005550006", "+15005550004"],
    [21614, "+15005550006", "+15005550009"],
  ]) {
    await refused(code, 400, () => magic(from, to));
  }
  const buy = (phoneNumber) => test.incomingPhoneNumbers.create({ phoneNumber });
  expect((await buy("+15005550006")).phoneNumber, "+15005550006", "number bought");
  await refused(21422, 400, () => buy("+15005550000"));
  await refused(21421, 400, () => buy("+15005550001"));
});

await check("error 20008: a list with test credentials", () =>
  refused(20008, 403, () => test.messages.list({ limit: 1 })));

await check("send a picture", async () => {
  const message = await send("+14155550109", "Look", { mediaUrl: [`${HOOK}/pixel.png`] });
  ensure(/^MM[0-9a-f]{32}$/.test(message.sid), message.sid);
  expect(message.numMedia, "1", "numMedia");
  state.picture = message.sid;
  await delivered(message.sid);
});

await check("list the media of a message", async () => {
  const list = await client.messages(state.picture).media.list();
  expect(list.length, 1, "media");
  const [media] = list;
  ensure(media.sid.startsWith("ME"), media.sid);
  expect(media.contentType, "image/png", "contentType");
  expect(media.parentSid, state.picture, "parentSid");
  const path = `/_/api/2010-04-01/Accounts/${ACCOUNT}/Messages/${state.picture}/Media/${media.sid}`;
  const bytes = Buffer.from(await (await fetch(OFFHOOK_URL + path)).arrayBuffer());
  ensure(bytes.equals(PIXEL), "the bytes differ");
});

await check("the picture is on the phone", async () => {
  const thread = await threadOf("+14155550109");
  expect(thread.length, 1, "messages");
  expect(thread[0].body, "Look", "body");
  expect(thread[0].media.length, 1, "media");
});

await check("STOP blocks further messages", async () => {
  await delivered((await send("+14155550110", "Welcome")).sid);
  await typeOn("+14155550110", "STOP");
  await refused(21610, 400, () => send("+14155550110", "Still there?"));
});

await check("START allows them again", async () => {
  await typeOn("+14155550110", "START");
  await delivered((await send("+14155550110", "Welcome back")).sid);
  const bodies = (await threadOf("+14155550110")).map((line) => line.body);
  ensure(bodies.includes("Welcome back"), "not on the phone");
});

const codeOn = async (phone, count) => {
  const thread = await until(`${count} messages on ${phone}`, async () => {
    const all = await threadOf(phone);
    return all.length >= count && all;
  });
  return thread[0].body.replace(/\D/g, "");
};

/** The digits of the last sentence that was said in the newest call of a phone. */
const spokenOn = async (phone) => {
  const said = await until(`something said to ${phone}`, async () => {
    const [call] = (await offhook(`/handsets/${phone}/calls`)).calls;
    const lines = (call?.heard ?? []).filter((line) => line.sound === "say");
    return lines.length > 0 && lines;
  });
  return said.at(-1).text.replace(/\D/g, "");
};

await check("verify: a code by text, then by voice", async () => {
  const made = await client.verify.v2.services.create({
    friendlyName: "Owl",
    dtmfInputRequired: false,
  });
  state.verify = client.verify.v2.services(made.sid);
  const to = "+14155550160";
  const first = await state.verify.verifications.create({ to, channel: "sms" });
  expect([first.status, first.valid], ["pending", false], "status and valid");
  const code = await codeOn(to, 1);
  const again = await state.verify.verifications.create({ to, channel: "call" });
  expect([again.sid, again.sendCodeAttempts.length], [first.sid, 2], "sid and attempts");
  expect(await spokenOn(to), code + code, "spoken twice");
  const check = await state.verify.verificationChecks.create({ to, code });
  expect([check.status, check.valid], ["approved", true], "status and valid");
  await refused(20404, 404, () => state.verify.verificationChecks.create({ to, code }));
});

await check("verify: the sixth start and the sixth check", async () => {
  const to = "+14155550161";
  const start = () => state.verify.verifications.create({ to, channel: "sms" });
  for (let count = 0; count < 5; count += 1) await start();
  await refused(60203, 429, start);
  const code = await codeOn(to, 5);
  const wrong = String((Number(code) + 1) % 1000000).padStart(6, "0");
  for (let count = 0; count < 5; count += 1) {
    const check = await state.verify.verificationChecks.create({ to, code: wrong });
    expect(check.status, "pending", "status");
  }
  await refused(60202, 429, () => state.verify.verificationChecks.create({ to, code }));
});

await check("verify: a device approves and denies by push", async () => {
  const identity = "ada-00001";
  const token = await state.verify.accessTokens.create({ identity, factorType: "push" });
  const { publicKey, privateKey } = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
  const device = connect("token", token.token, ACCOUNT).verify.v2.services(token.serviceSid);
  const factor = await device.entities(identity).newFactors.create({
    friendlyName: "Ada's phone",
    factorType: "push",
    "binding.alg": "ES256",
    "binding.publicKey": publicKey.export({ type: "spki", format: "der" }).toString("base64"),
    "config.appId": "com.owl.app",
    "config.notificationPlatform": "none",
    "config.sdkVersion": "1.0",
  });
  const encode = (json) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const sign = (text, dsaEncoding) =>
    crypto.sign("sha256", Buffer.from(text), { key: privateKey, dsaEncoding });
  const jwt = (header, payload) => {
    const text = `${encode(header)}.${encode(payload)}`;
    return `${text}.${sign(text, "ieee-p1363").toString("base64url")}`;
  };
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: "ES256", typ: "JWT", cty: "twilio-pba;v=1", kid: factor.config.credential_sid };
  const login = jwt(header, { sub: ACCOUNT, nbf: now, exp: now + 600 });
  const phone = connect("token", login, ACCOUNT).verify.v2.services(token.serviceSid).entities(identity);
  const authPayload = sign(factor.sid, "der").toString("base64");
  const verified = await phone.factors(factor.sid).update({ authPayload });
  expect(verified.status, "verified", "status");
  const authorization = `Basic ${Buffer.from(`token:${login}`).toString("base64")}`;
  for (const status of ["approved", "denied"]) {
    const challenge = await state.verify.entities(identity).challenges.create({
      factorSid: factor.sid,
      "details.message": "Sign in?",
    });
    const path = new URL(challenge.url).pathname;
    const shown = await fetch(OFFHOOK_URL + path, { headers: { authorization } });
    const names = shown.headers.get("twilio-verify-signature-fields").split(",");
    const body = await shown.json();
    const answer = Object.fromEntries(names.map((name) => [name, body[name]]));
    const payload = jwt({ typ: "JWT", alg: "ES256" }, { ...answer, status });
    const done = await phone.challenges(challenge.sid).update({ authPayload: payload });
    expect(done.status, status, "status");
  }
});

/** A Messaging Service that sends from the program's number. */
async function shop() {
  if (!state.shop) {
    const service = await client.messaging.v1.services.create({ friendlyName: "Shop" });
    const [number] = await client.incomingPhoneNumbers.list({ phoneNumber: TWILIO_PHONE_NUMBER });
    const numbers = client.messaging.v1.services(service.sid).phoneNumbers;
    await numbers.create({ phoneNumberSid: number.sid });
    state.shop = service.sid;
  }
  return state.shop;
}

await check("links are short and their clicks reported", async () => {
  const v1 = client.messaging.v1;
  const [domain, long] = [`DN${"0".repeat(31)}1`, "https://shop.example.com/sale"];
  const config = await v1.domainConfig(domain).update({ callbackUrl: `${HOOK}/click` });
  expect(config.callbackUrl, `${HOOK}/click`, "callbackUrl");
  ensure((await v1.requestManagedCert(domain).update()).managed, "not managed");
  ensure((await client.messaging.v2.domainCerts(domain).fetch()).managed, "not managed in v2");
  ensure((await v1.domainValidateDns(domain).fetch()).isValid, "not valid");
  const service = v1.linkshorteningMessagingService(domain, await shop());
  expect((await service.create()).domainSid, domain, "domainSid");
  const found = await v1.domainConfigMessagingService(await shop()).fetch();
  expect(found.configSid, config.configSid, "configSid");

  const sale = { to: "+14155550181", body: `Sale: ${long}!`, shortenUrls: true };
  await refused(30124, 400, () => client.messages.create({ from: TWILIO_PHONE_NUMBER, ...sale }));
  const message = await client.messages.create({ messagingServiceSid: await shop(), ...sale });
  const { body } = await delivered(message.sid);
  const [, short] = body.match(/^Sale: (http\S+\/l\/[0-9A-Za-z]{10})!$/) ?? [];
  ensure(short, body);
  const answer = await fetch(short, { redirect: "manual" });
  expect([answer.status, answer.headers.get("location")], [302, long], "redirect");
  const click = await firstHook("/click");
  const isSigned = twilio.validateRequestWithBody(TOKEN, click.signature, click.url, click.text);
  ensure(isSigned, "not signed");
  expect(JSON.parse(click.text).message_sid, message.sid, "message_sid");
  ensure(await service.remove(), "not removed");
});

await check("an opt-out set has its own words", async () => {
  const v3 = async (method, path, data) => {
    const { statusCode, body } = await client.request({
      method,
      uri: `https://messaging.twilio.com/v3/OptOuts${path}`,
      headers: { "Content-Type": "application/json" },
      data,
    });
    ensure(statusCode < 300, `${path} answered ${statusCode}`);
    return body;
  };
  const own = (await v3("post", "", { friendlyName: "Ours" })).opt_out_sid;
  const word = { keywordType: "STOP.FRENCH", messageType: "ALL" };
  await v3("post", `/${own}/Keywords`, { ...word, keyword: "ARRET" });
  await v3("post", `/${own}/Messages`, { ...word, message: "Au revoir" });
  await v3("post", `/${own}/MessagingServices/${await shop()}`, {});
  const inboundRequestUrl = `${HOOK}/opt-out`;
  await client.messaging.v1.services(await shop()).update({ inboundRequestUrl });
  const to = "+14155550182";
  const again = async () =>
    client.messages.create({ messagingServiceSid: await shop(), to, body: "Again" });
  await typeOn(to, "arret");
  expect((await firstHook("/opt-out")).form.OptOutType, "STOP", "OptOutType");
  await until("the answer", async () =>
    (await threadOf(to)).some((line) => line.body === "Au revoir"),
  );
  await refused(21610, 400, again);
  await typeOn(to, "START");
  await until("the second word", () => hooks("/opt-out").length === 2);
  await delivered((await again()).sid);
  await v3("delete", `/${own}`);
});

const voiceDocument = (build) => {
  const response = new twilio.twiml.VoiceResponse();
  build(response);
  return response.toString();
};
const callsOf = async (phone) => (await offhook(`/handsets/${phone}/calls`)).calls;
const heardOn = async (phone, sound, text) =>
  (await callsOf(phone))[0].heard.some((line) => line.sound === sound && line.text.includes(text));

/** Moves the clock, a second at a time, until `probe` answers something true. */
const through = (what, probe) =>
  until(
    what,
    async () => {
      const found = await probe();
      if (!found) await offhook("/clock", { advance_seconds: 1 });
      return found;
    },
    20,
  );
const callIs = (sid, status) =>
  through(`call ${sid} ${status}`, async () => {
    const call = await client.calls(sid).fetch();
    return call.status === status && call;
  });
const numberOf = async () => {
  const [number] = await client.incomingPhoneNumbers.list({ phoneNumber: TWILIO_PHONE_NUMBER });
  return client.incomingPhoneNumbers(number.sid);
};

await check("an IVR that asks with Gather", async () => {
  replies["/ivr"] = voiceDocument((response) => {
    response.gather({ input: "speech dtmf", numDigits: 1, action: "/ivr-menu" }).say("Say or press");
    response.redirect("/ivr");
  });
  replies["/ivr-menu"] = voiceDocument((response) => response.say("A table for two"));
  await (await numberOf()).update({ voiceUrl: `${HOOK}/ivr` });
  const { sid } = await offhook("/handsets/+14155550171/calls", { to: TWILIO_PHONE_NUMBER });
  await through("the menu is said", () => heardOn("+14155550171", "say", "Say or press"));
  await offhook("/handsets/+14155550171/speak", { text: "Book a table" });
  const call = await callIs(sid, "completed");
  expect(call.direction, "inbound", "direction");
  const chosen = await firstHook("/ivr-menu");
  expect(chosen.form.SpeechResult, "Book a table", "SpeechResult");
  ensure(twilio.validateRequest(TOKEN, chosen.signature, chosen.url, chosen.form), "not signed");
  ensure(await heardOn("+14155550171", "say", "A table for two"), "not heard");
});

await check("a call redirected in the middle", async () => {
  const call = await client.calls.create({
    to: "+14155550172",
    from: TWILIO_PHONE_NUMBER,
    twiml: voiceDocument((response) => response.pause({ length: 600 })),
    statusCallback: `${HOOK}/call-status`,
    statusCallbackEvent: ["initiated", "ringing", "answered", "completed"],
  });
  await callIs(call.sid, "in-progress");
  const news = voiceDocument((response) => response.say("News for you"));
  await client.calls(call.sid).update({ twiml: news });
  await callIs(call.sid, "completed");
  ensure(await heardOn("+14155550172", "say", "News for you"), "not heard");
  const told = await until("four callbacks", () => {
    const found = hooks("/call-status");
    return found.length >= 4 && found;
  });
  const statuses = told.map((hook) => hook.form.CallStatus);
  expect(statuses, ["initiated", "ringing", "in-progress", "completed"], "statuses");
  await refused(21220, 400, () => client.calls(call.sid).update({ status: "completed" }));
});

await check("an agent asks for a card, and Pay for a bank account", async () => {
  const to = "+14155550177";
  const press = async (digits) => {
    await new Promise((done) => setTimeout(done, 200));
    await offhook(`/handsets/${to}/digits`, { digits });
  };
  const statusCallback = `${HOOK}/payment`;
  const call = await client.calls.create({
    to,
    from: TWILIO_PHONE_NUMBER,
    twiml: voiceDocument((response) => response.pause({ length: 600 })),
  });
  await callIs(call.sid, "in-progress");
  const payment = await client.calls(call.sid).payments.create({
    idempotencyKey: "one",
    statusCallback,
    chargeAmount: 9.99,
    securityCode: false,
    postalCode: false,
  });
  ensure(payment.sid.startsWith("PK"), payment.sid);
  await firstHook("/payment");
  const one = client.calls(call.sid).payments(payment.sid);
  const step = (idempotencyKey, what) => one.update({ idempotencyKey, statusCallback, ...what });
  await refused(64019, 400, () => step("two", { status: "complete" }));
  await step("three", { capture: "payment-card-number" });
  await press("378282246310005");
  await step("four", { capture: "expiration-date" });
  await press("1130");
  await new Promise((done) => setTimeout(done, 200));
  await step("five", { status: "complete" });
  const done = await until("the result", () =>
    hooks("/payment").find((hook) => hook.form.Result),
  );
  expect(done.form.Result, "success", "Result");
  expect(done.form.PaymentCardNumber, "xxxx-xxxx-xxxx-0005", "PaymentCardNumber");
  ensure(done.form.PaymentConfirmationCode, "no confirmation");

  replies["/paid"] = voiceDocument((response) => response.say("Thank you"));
  const twiml = voiceDocument((response) => {
    const pay = response.pay({ paymentMethod: "ach-debit", action: `${HOOK}/paid` });
    pay.prompt({ for: "bank-routing-number" }).say("The routing number, please");
  });
  await client.calls(call.sid).update({ twiml });
  await through("the prompt", () => heardOn(to, "say", "The routing number, please"));
  await press("110000000");
  await press("000123456789#");
  await callIs(call.sid, "completed");
  const { form } = await firstHook("/paid");
  expect([form.Result, form.PaymentMethod], ["success", "ach-debit"], "result");
  ensure(form.PaymentToken && form.BankAccountNumber.endsWith("89"), "no token");
});

await check("a Dial that nobody answers goes to voicemail", async () => {
  replies["/desk"] = voiceDocument((response) =>
    response.dial({ action: "/voicemail", timeout: 10 }, "+14155550174"),
  );
  replies["/voicemail"] = voiceDocument((response) =>
    response.record({ action: "/message", timeout: 20 }),
  );
  replies["/message"] = voiceDocument((response) => response.hangup());
  await offhook("/handsets/+14155550174", { when_called: "ring" });
  await (await numberOf()).update({ voiceUrl: `${HOOK}/desk` });
  const { sid } = await offhook("/handsets/+14155550173/calls", { to: TWILIO_PHONE_NUMBER });
  await through("the beep", async () => hooks("/voicemail").length > 0 && heardOn("+14155550173", "beep", ""));
  expect(hooks("/voicemail")[0].form.DialCallStatus, "no-answer", "DialCallStatus");
  await sleep(200);
  await offhook("/clock", { advance_seconds: 1 });
  await sleep(200);
  await offhook("/handsets/+14155550173/speak", { text: "Please call me back" });
  await callIs(sid, "completed");
  const message = await firstHook("/message");
  const recording = await until("the recording", async () => {
    const found = await client.recordings(message.form.RecordingSid).fetch();
    return found.status === "completed" && found;
  });
  expect(recording.source, "RecordVerb", "source");
  const sound = Buffer.from(await (await fetch(message.form.RecordingUrl)).arrayBuffer());
  expect(sound.subarray(0, 4).toString(), "RIFF", "the sound");
});

await check("a SIP domain with its lists", async () => {
  const people = await client.sip.credentialLists.create({ friendlyName: "Node's" });
  const credentials = client.sip.credentialLists(people.sid).credentials;
  const ann = await credentials.create({ username: "ann", password: "Correct-Horse-9" });
  expect(ann.username, "ann", "username");
  await refused(21243, 400, () => credentials.create({ username: "bob", password: "weak" }));
  const domain = await client.sip.domains.create({ domainName: "node.sip.twilio.com" });
  const context = client.sip.domains(domain.sid);
  await context.auth.calls.credentialListMappings.create({ credentialListSid: people.sid });
  const [mapped] = await context.credentialListMappings.list();
  expect([mapped.sid, mapped.domainSid], [people.sid, domain.sid], "the mapping's old name");
  expect((await context.fetch()).authType, "CREDENTIAL_LIST", "auth type");
  const taken = () => client.sip.domains.create({ domainName: "node.sip.twilio.com" });
  await refused(21232, 400, taken);
  ensure(await context.remove(), "not removed");
  ensure(await client.sip.credentialLists(people.sid).remove(), "not removed");
});

await check("a trunk with a number", async () => {
  const trunk = await client.trunking.v1.trunks.create({ domainName: "node.pstn.twilio.com" });
  const context = client.trunking.v1.trunks(trunk.sid);
  await context.originationUrls.create({
    weight: 1,
    priority: 1,
    enabled: true,
    friendlyName: "main",
    sipUrl: "sip:pbx.example.com",
  });
  const { sid } = await (await numberOf()).fetch();
  const taken = await context.phoneNumbers.create({ phoneNumberSid: sid });
  expect(taken.trunkSid, trunk.sid, "trunk");
  ensure(await context.phoneNumbers(sid).remove(), "not taken away");
  ensure(await context.remove(), "not removed");
});

await check("dialing permissions", async () => {
  const permissions = client.voice.v1.dialingPermissions;
  const permit = (flag) =>
    permissions.bulkCountryUpdates.create({
      updateRequest: JSON.stringify([{ iso_code: "FR", low_risk_numbers_enabled: flag }]),
    });
  expect((await permit("false")).updateCount, 1, "count");
  expect((await permissions.countries("FR").fetch()).lowRiskNumbersEnabled, false, "low risk");
  const twiml = voiceDocument((response) => response.say("x"));
  const call = () =>
    client.calls.create({ to: "+33142685300", from: TWILIO_PHONE_NUMBER, twiml });
  await refused(21215, 400, call);
  await permit("true");
  expect((await call()).status, "queued", "status");
});

await check("insights of a call", async () => {
  const twiml = voiceDocument((response) => response.say("Hello"));
  const call = await client.calls.create({ to: "+14155550175", from: TWILIO_PHONE_NUMBER, twiml });
  await callIs(call.sid, "completed");
  const context = client.insights.v1.calls(call.sid);
  const summary = await context.summary().fetch();
  expect([summary.callState, summary.processingState], ["completed", "complete"], "states");
  const noted = await context.annotation().update({ callScore: 5, comment: "fine" });
  expect([noted.callScore, noted.comment], [5, "fine"], "annotation");
  const events = await context.events.list();
  expect(events.at(-1).name, "completed", "the last event");
});

console.log(`node: ${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
