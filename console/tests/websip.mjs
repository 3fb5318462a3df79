// Telephones in a page that speak SIP by WebSocket and WebRTC: JsSIP, unmodified.

import { strict as assert } from "node:assert";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { build } from "vite";
import { loudest, recording } from "./sound.mjs";
import { browser, until } from "./support.mjs";

const DOMAIN = "acme.sip.twilio.com";
const PASSWORD = "Correct-Horse-9";
const PHONE = "+14155550111";
const ACCOUNT = "/_/api/2010-04-01/Accounts/{A}";

/** The library comes as modules of Node; a page wants one script. */
async function bundle() {
  const entry = createRequire(import.meta.url).resolve("jssip");
  const [{ output }] = await build({
    configFile: false,
    logLevel: "error",
    build: { write: false, minify: false, lib: { entry, name: "JsSIP", formats: ["iife"] } },
  });
  return output[0].code;
}
let script;

/** A domain at which these may register and call. */
async function domain(world, app, users) {
  const made = await world.wire(`${ACCOUNT}/SIP/Domains.json`, {
    DomainName: DOMAIN,
    SipRegistration: "true",
    VoiceUrl: `${app.url}/voice`,
  });
  const list = await world.wire(`${ACCOUNT}/SIP/CredentialLists.json`, { FriendlyName: "People" });
  for (const Username of users) {
    const form = { Username, Password: PASSWORD };
    await world.wire(`${ACCOUNT}/SIP/CredentialLists/${list.sid}/Credentials.json`, form);
  }
  for (const kind of ["Calls", "Registrations"]) {
    const mappings = `${ACCOUNT}/SIP/Domains/${made.sid}/Auth/${kind}/CredentialListMappings.json`;
    await world.wire(mappings, { CredentialListSid: list.sid });
  }
}

/** A page with a telephone that is registered; its microphone beeps. */
async function telephone(world, user) {
  const chrome = await browser([
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
  ]);
  const server = createServer((_, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end("<!doctype html><title>telephone</title>");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const page = await (await chrome.newContext()).newPage();
  page.setDefaultTimeout(20_000);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  script ??= await bundle();
  await page.addScriptTag({ content: script });
  await page.evaluate(
    ([socket, uri, password]) => {
      window.happened = [];
      const sockets = [new JsSIP.WebSocketInterface(socket)];
      window.phone = new JsSIP.UA({ sockets, uri, password });
      /** What is heard of the other end, 0 to 1. */
      window.listen = (connection) => {
        const hear = ({ streams, track }) => {
          const stream = streams[0] ?? new MediaStream([track]);
          // Chromium gives a stream no sound that nobody plays.
          window.speaker = Object.assign(new Audio(), { srcObject: stream, muted: true });
          const context = new AudioContext();
          const analyser = context.createAnalyser();
          context.createMediaStreamSource(stream).connect(analyser);
          const samples = new Float32Array(analyser.fftSize);
          window.level = () => {
            analyser.getFloatTimeDomainData(samples);
            return Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
          };
        };
        connection.addEventListener("track", hear);
      };
      phone.on("registered", () => happened.push("registered"));
      phone.on("registrationFailed", ({ cause }) => happened.push(`not registered: ${cause}`));
      phone.on("newRTCSession", ({ session, originator }) => {
        window.call = session;
        happened.push(`call ${originator}`);
        if (session.connection) listen(session.connection);
        // What is sent, without the codecs that a story does not want.
        session.on("sdp", (said) => {
          const { formats } = window;
          if (!formats) return;
          const kept = said.sdp.split("\r\n").filter((line) => {
            const number = /^a=(?:rtpmap|fmtp|rtcp-fb):(\d+)/.exec(line)?.[1];
            return !number || formats.includes(number);
          });
          said.sdp = kept.join("\r\n").replace(/(m=audio \d+ \S+) .*/, `$1 ${formats.join(" ")}`);
        });
        session.on("peerconnection", ({ peerconnection }) => listen(peerconnection));
        for (const name of ["progress", "confirmed", "hold", "unhold"]) {
          session.on(name, () => happened.push(name));
        }
        session.on("ended", ({ originator }) => happened.push(`ended by ${originator}`));
        session.on("failed", ({ cause }) => happened.push(`failed: ${cause}`));
      });
      phone.start();
    },
    [world.env.sip_ws, `sip:${user}@${DOMAIN}`, PASSWORD],
  );
  const all = () => page.evaluate(() => window.happened);
  const happened = async (what) => {
    const found = until(async () => (await all()).includes(what), 20);
    await found.catch(async () => assert.fail(`${what} is not among ${await all()}`));
  };
  const hears = (loud) =>
    until(() => page.evaluate((l) => window.level?.() > 0.01 === l, loud), 20);
  await happened("registered");
  const end = async () => {
    await chrome.close();
    server.close();
  };
  return { page, happened, hears, end };
}

const calls = async (world) => (await world.wire(`${ACCOUNT}/Calls.json`)).calls;

const media = { mediaConstraints: { audio: true, video: false } };

export const stories = {
  "a SIP telephone in a page calls, hears, presses keys, holds and hangs up": async (story) => {
    const { world, app } = story;
    await domain(world, app, ["ann"]);
    const { page, happened, hears, end } = await telephone(world, "ann");
    app.answer = `<Response><Gather numDigits="2" action="/keyed" timeout="60"/></Response>`;
    await page.evaluate(
      ([to, media]) => {
        phone.call(to, media);
      },
      [`sip:service@${DOMAIN}`, media],
    );
    await happened("confirmed");
    const asked = app.heard.find((request) => request.path === "/voice");
    assert.equal(asked.From, `sip:ann@${DOMAIN}`);
    // Beside the sound, both of them once. Then there is music.
    await until(() => page.evaluate(() => call.connection.getSenders()[0].dtmf.canInsertDTMF), 5);
    app.answer = "<Response><Enqueue>waiting</Enqueue></Response>";
    await page.evaluate(() => {
      call.sendDTMF("77", { transportType: "RFC2833", duration: 120, interToneGap: 80 });
    });
    const keyed = await until(async () => app.heard.find((one) => one.path === "/keyed"), 20);
    assert.equal(keyed.Digits, "77");
    await hears(true);
    // Held, it hears nothing; then everything again.
    await page.evaluate(() => call.hold());
    await happened("hold");
    await hears(false);
    await page.evaluate(() => call.unhold());
    await happened("unhold");
    await hears(true);
    await page.evaluate(() => call.terminate());
    await until(async () => (await calls(world))[0].status === "completed", 20);
    await end();
  },

  "a SIP telephone in a page presses keys by INFO, gives up, and is hung up on": async (story) => {
    const { world, app } = story;
    await domain(world, app, ["cho"]);
    const { page, happened, end } = await telephone(world, "cho");
    app.answer = `<Response><Gather numDigits="1" action="/keyed" timeout="60"/></Response>`;
    const place = () =>
      page.evaluate(
        ([to, media]) => {
          phone.call(to, media);
        },
        [`sip:service@${DOMAIN}`, { ...media, pcConfig: {} }],
      );
    await place();
    await happened("confirmed");
    app.answer = "<Response><Hangup/></Response>";
    await page.evaluate(() => call.sendDTMF("5"));
    const keyed = await until(async () => app.heard.find((one) => one.path === "/keyed"), 20);
    assert.equal(keyed.Digits, "5");
    await happened("ended by remote");
    // Who gives up while it rings is not charged with an answer.
    const dialled = `<Response><Dial>${PHONE}</Dial></Response>`;
    app.answer = dialled;
    await world.own(`/handsets/${PHONE}`, "PUT", { when_called: "ring" });
    await place();
    await happened("progress");
    await until(async () => (await calls(world)).some((one) => one.to === PHONE), 20);
    await page.evaluate(() => call.terminate());
    await until(async () => (await calls(world)).every((one) => one.status !== "ringing"), 20);
    await end();
  },

  "a SIP telephone in a page that wants Opus gets it": async ({ world, app }) => {
    await domain(world, app, ["dee"]);
    const { page, happened, hears, end } = await telephone(world, "dee");
    app.answer = "<Response><Enqueue>waiting</Enqueue></Response>";
    await page.evaluate(
      ([to, media]) => {
        window.formats = ["111", "110"];
        phone.call(to, media);
      },
      [`sip:service@${DOMAIN}`, media],
    );
    await happened("confirmed");
    await hears(true);
    const codec = await page.evaluate(async () => {
      const stats = [...(await call.connection.getStats()).values()];
      const stream = stats.find(({ type }) => type === "inbound-rtp");
      return stats.find(({ id }) => id === stream.codecId).mimeType;
    });
    assert.equal(codec, "audio/opus");
    await page.evaluate(() => call.terminate());
    await end();
  },

  "a SIP telephone in a page is called, is heard and hears": async ({ world, app }) => {
    await domain(world, app, ["bob"]);
    const { page, happened, hears, end } = await telephone(world, "bob");
    const numbers = `${ACCOUNT}/IncomingPhoneNumbers`;
    const [number] = (await world.wire(`${numbers}.json`)).incoming_phone_numbers;
    await world.wire(`${numbers}/${number.sid}.json`, { VoiceUrl: `${app.url}/in` });
    app.answer = `<Response><Dial record="record-from-answer" action="/over"><Sip>sip:bob@${DOMAIN}</Sip></Dial></Response>`;
    await world.own(`/handsets/${encodeURIComponent(PHONE)}/calls`, "POST", {});
    await happened("call remote");
    await page.evaluate((media) => call.answer(media), media);
    await happened("confirmed");
    // What its microphone makes is in the recording.
    await page.waitForTimeout(3000);
    app.answer = "<Response><Hangup/></Response>";
    await page.evaluate(() => call.terminate());
    const over = await until(async () => app.heard.find((one) => one.path === "/over"), 20);
    assert.equal(over.DialCallStatus, "completed");
    const { samples } = await recording(world);
    assert.ok(loudest(samples) > 2000, "the microphone is heard");
    // And it hears who calls.
    await world.wire(`${ACCOUNT}/Calls.json`, {
      From: world.env.phone_number,
      To: `sip:bob@${DOMAIN}`,
      Twiml: "<Response><Enqueue>waiting</Enqueue></Response>",
    });
    await until(() => page.evaluate(() => call.isInProgress()), 20);
    await page.evaluate((media) => call.answer(media), media);
    await hears(true);
    await page.evaluate(() => call.terminate());
    // Who declines is busy.
    const declined = await world.wire(`${ACCOUNT}/Calls.json`, {
      From: world.env.phone_number,
      To: `sip:bob@${DOMAIN}`,
      Twiml: "<Response/>",
    });
    await until(() => page.evaluate(() => call.isInProgress()), 20);
    await page.evaluate(() => call.terminate({ status_code: 486 }));
    await until(async () => {
      const known = (await calls(world)).find((one) => one.sid === declined.sid);
      return known.status === "busy";
    }, 20);
    await end();
  },
};
