// Browser phones: the official Voice SDK, unmodified, in a page of somebody's own program.

import { strict as assert } from "node:assert";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { loudest, recording } from "./sound.mjs";
import { browser, screen, until } from "./support.mjs";

const SDK = createRequire(import.meta.url).resolve("@twilio/voice-sdk");
const BUNDLE = join(dirname(SDK), "..", "dist", "twilio.min.js");
const PHONE = "+14155550111";

/** An access token as a program's server makes one. */
function token(account, key, identity, application) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const head = part({ typ: "JWT", alg: "HS256", cty: "twilio-fpa;v=1" });
  const voice = { incoming: { allow: true }, outgoing: { application_sid: application } };
  const body = part({
    jti: `${key.sid}-${now}`,
    iss: key.sid,
    sub: account,
    exp: now + 3600,
    grants: { identity, voice },
  });
  const mac = createHmac("sha256", key.secret).update(`${head}.${body}`).digest("base64url");
  return `${head}.${body}.${mac}`;
}

/** Names of Twilio's are this platform. */
const byName = (host) => `--host-resolver-rules=MAP *.twilio.com ${host}`;
/** The platform is the browser's proxy. */
const byProxy = (host) => `--proxy-server=${host}`;

/** A page with the SDK, in a browser that finds the platform. */
async function phone(world, app, identity, options = {}, found = byName) {
  const key = await world.wire("/_/api/2010-04-01/Accounts/{A}/Keys.json", { FriendlyName: "k" });
  const application = await world.wire("/_/api/2010-04-01/Accounts/{A}/Applications.json", {
    FriendlyName: "phone",
    VoiceUrl: `${app.url}/voice`,
  });
  const { host } = new URL(world.url);
  const chrome = await browser([
    found(host),
    "--ignore-certificate-errors",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
  ]);
  const server = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end("<!doctype html><title>phone</title>");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const page = await (await chrome.newContext()).newPage();
  page.setDefaultTimeout(20_000);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.addScriptTag({ path: BUNDLE });
  await page.evaluate(
    async ([jwt, options]) => {
      window.happened = [];
      window.device = new Twilio.Device(jwt, { logLevel: "error", ...options });
      device.on("error", (error) => happened.push(`error ${error.code}`));
      window.follow = (call) => {
        window.call = call;
        for (const name of ["accept", "ringing", "disconnect", "cancel", "reject"]) {
          call.on(name, () => happened.push(name));
        }
        call.on("error", (error) => happened.push(`error ${error.code}`));
        call.on("sample", (sample) => {
          window.codec = sample.codecName.toLowerCase();
        });
        call.on("volume", (_, output) => {
          window.loudest = Math.max(window.loudest ?? 0, output);
        });
      };
      device.on("incoming", (call) => {
        follow(call);
        happened.push(`incoming ${call.parameters.From} ${call.customParameters.get("order")}`);
      });
    },
    [token(world.env.account_sid, key, identity, application.sid), options],
  );
  const happened = (what) =>
    until(async () => (await page.evaluate(() => window.happened)).includes(what), 20);
  const end = async () => {
    await chrome.close();
    server.close();
  };
  return { page, happened, end, application };
}

const calls = async (world) =>
  (await world.wire("/_/api/2010-04-01/Accounts/{A}/Calls.json")).calls;

export const stories = {
  "a browser calls its application, hears it and presses keys": async ({ world, app }) => {
    const { page, happened, end, application } = await phone(world, app, "ann");
    app.answer = `<Response><Gather numDigits="1" action="/keyed" timeout="60"/></Response>`;
    await page.evaluate(async () => {
      follow(await device.connect({ params: { To: "desk", note: "a b&c" } }));
    });
    await happened("accept");
    const asked = app.heard.find((request) => request.path === "/voice");
    assert.equal(asked.From, "client:ann");
    assert.equal(asked.To, "desk");
    assert.equal(asked.note, "a b&c");
    assert.equal(asked.ApplicationSid, application.sid);
    assert.equal(asked.Direction, "inbound");
    // Then there is music.
    app.answer = "<Response><Enqueue>waiting</Enqueue></Response>";
    await page.evaluate(() => call.sendDigits("7"));
    const keyed = await until(async () => app.heard.find((one) => one.path === "/keyed"), 20);
    assert.equal(keyed.Digits, "7");
    await until(() => page.evaluate(() => window.loudest > 0.01), 20);
    await page.evaluate(() => call.disconnect());
    await until(async () => (await calls(world))[0].status === "completed", 20);
    await end();
  },

  "a browser whose proxy is the platform wants Opus, gets it, and hears": async ({
    world,
    app,
  }) => {
    const preferences = { codecPreferences: ["opus", "pcmu"] };
    const { page, happened, end } = await phone(world, app, "dee", preferences, byProxy);
    app.answer = "<Response><Enqueue>waiting</Enqueue></Response>";
    await page.evaluate(async () => {
      follow(await device.connect({ params: {} }));
    });
    await happened("accept");
    await until(() => page.evaluate(() => window.loudest > 0.01), 20);
    await until(() => page.evaluate(() => window.codec === "opus"), 20);
    await page.evaluate(() => call.disconnect());
    await end();
  },

  "a browser is called, is heard, and hangs up": async ({ world, app, page: desk }) => {
    const { page, happened, end } = await phone(world, app, "bob");
    await page.evaluate(() => device.register());
    // The operator sees who can be called.
    await desk.goto(`${world.url}/console/set-up`);
    const registered = desk.getByRole("table", { name: "Registered" });
    await registered.getByRole("row", { name: /browser phone bob .* 1 page/ }).waitFor();
    await registered.scrollIntoViewIfNeeded();
    await screen(desk, "registered");
    const [number] = (await world.wire("/_/api/2010-04-01/Accounts/{A}/IncomingPhoneNumbers.json"))
      .incoming_phone_numbers;
    await world.wire(`/_/api/2010-04-01/Accounts/{A}/IncomingPhoneNumbers/${number.sid}.json`, {
      VoiceUrl: `${app.url}/in`,
    });
    app.answer = `<Response><Dial record="record-from-answer" action="/over"><Client><Identity>bob</Identity>\
<Parameter name="order" value="7"/></Client></Dial></Response>`;
    await world.own(`/handsets/${encodeURIComponent(PHONE)}/calls`, "POST", {});
    await happened(`incoming ${PHONE} 7`);
    await page.evaluate(() => call.accept());
    await happened("accept");
    // Programs at either end send each other JSON.
    const leg = await until(async () => {
      const found = (await calls(world)).find((one) => one.to === "client:bob");
      return found?.status === "in-progress" && found;
    }, 20);
    const path = `/_/api/2010-04-01/Accounts/{A}/Calls/${leg.sid}`;
    await world.wire(`${path}/UserDefinedMessageSubscriptions.json`, {
      Callback: `${app.url}/said`,
    });
    await page.evaluate(() => {
      call.on("messageReceived", (message) => happened.push(`got ${message.content.hello}`));
      call.on("messageSent", () => happened.push("sent"));
    });
    await world.wire(`${path}/UserDefinedMessages.json`, { Content: '{"hello":"page"}' });
    await happened("got page");
    await page.evaluate(() => {
      const content = { hello: "server" };
      call.sendMessage({ content, messageType: "user-defined-message" });
    });
    await happened("sent");
    await until(async () => app.heard.find((one) => one.path === "/said"), 20);
    // What the browser's microphone makes is in the recording of the phone's call.
    await page.waitForTimeout(3000);
    app.answer = "<Response><Hangup/></Response>";
    await page.evaluate(() => call.disconnect());
    const over = await until(async () => app.heard.find((one) => one.path === "/over"), 20);
    assert.equal(over.DialCallStatus, "completed");
    const { samples } = await recording(world);
    assert.ok(loudest(samples) > 2000, "the microphone is heard");
    await end();
  },

  "a browser declines, and a wrong token is told": async ({ world, app }) => {
    const { page, happened, end } = await phone(world, app, "cho");
    await page.evaluate(() => device.register());
    app.answer = "<Response/>";
    const call = await world.wire("/_/api/2010-04-01/Accounts/{A}/Calls.json", {
      From: world.env.phone_number,
      To: "client:cho",
      Url: `${app.url}/never`,
    });
    await happened(`incoming ${world.env.phone_number} undefined`);
    await page.evaluate(() => window.call.reject());
    await until(async () => {
      const known = (await calls(world)).find((one) => one.sid === call.sid);
      return known.status === "busy";
    }, 20);
    await page.evaluate(() => device.updateToken("a.b.c"));
    await happened("error 20101");
    await end();
  },
};
