// The story of the Twilio CLI, pointed at Offhook by its proxy variable.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { startProxy } from "./proxy.mjs";

const { OFFHOOK_URL, TWILIO_ACCOUNT_SID, TWILIO_PHONE_NUMBER } = process.env;
const home = mkdtempSync(path.join(tmpdir(), "offhook-cli-"));
const bin = path.join(path.dirname(fileURLToPath(import.meta.url)), "node_modules", ".bin");
const proxy = await startProxy(OFFHOOK_URL, home);
const environment = {
  ...process.env,
  HOME: home,
  XDG_CONFIG_HOME: path.join(home, "config"),
  XDG_CACHE_HOME: path.join(home, "cache"),
  XDG_DATA_HOME: path.join(home, "data"),
  PATH: `${bin}:${process.env.PATH}`,
  HTTP_PROXY: proxy.url,
  HTTPS_PROXY: proxy.url,
  NODE_EXTRA_CA_CERTS: proxy.cert,
  NODE_NO_WARNINGS: "1",
};

let passed = 0;
let failed = 0;
const state = {};

async function check(name, step) {
  try {
    await step();
    passed += 1;
    console.log(`ok cli ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok cli ${name}: ${String(error.message || error).replace(/\s+/g, " ").slice(0, 400)}`);
  }
}

function ensure(holds, why) {
  if (!holds) throw new Error(why);
}

function expect(got, wanted, what) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  ensure(a === b, `${what} is ${a}, not ${b}`);
}

/** Runs one command: exit code, standard output and standard error. */
function run(more, ...args) {
  const options = { env: { ...environment, ...more }, timeout: 30_000 };
  return new Promise((resolve) => {
    execFile(path.join(bin, "twilio"), args, options, (error, out, err) => {
      resolve({ code: error ? error.code : 0, out, err });
    });
  });
}

/** The JSON that a successful command prints. */
async function twilio(...args) {
  const { code, out, err } = await run({}, ...args, "-o", "json");
  ensure(code === 0, `exit code ${code}: ${err}`);
  return out.trim() ? JSON.parse(out) : [];
}

/** The error code that a command must print. */
async function refused(wanted, more, ...args) {
  const { code, err } = await run(more, ...args);
  ensure(code !== 0, `no error, ${wanted} expected`);
  ensure(err.includes(String(wanted)), `${wanted} is not in: ${err}`);
}

const messages = (verb, ...args) => twilio(`api:core:messages:${verb}`, ...args);
const create = async (to, body) => {
  const [message] = await messages("create", "--from", TWILIO_PHONE_NUMBER, "--to", to, "--body", body);
  return message;
};

await check("create a message", async () => {
  const message = await create("+14155550101", "Hello from the CLI");
  expect(message.status, "queued", "status");
  expect(message.numSegments, "1", "numSegments");
  ensure(/^SM[0-9a-f]{32}$/.test(message.sid), message.sid);
  ensure(proxy.connects() > 0, "the proxy was not used");
  state.sid = message.sid;
});

await check("a message is delivered", async () => {
  const end = Date.now() + 15_000;
  for (;;) {
    const [message] = await messages("fetch", "--sid", state.sid, "--properties", "sid,status,body,to");
    expect(message.body, "Hello from the CLI", "body");
    expect(message.to, "+14155550101", "to");
    if (message.status === "delivered") break;
    ensure(Date.now() < end, `the status stays ${message.status}`);
  }
});

await check("list messages by pages", async () => {
  const sids = [];
  for (let n = 0; n < 3; n += 1) sids.unshift((await create("+14155550102", `Page ${n}`)).sid);
  const found = await messages("list", "--to", "+14155550102", "--page-size", "2", "--properties", "sid");
  expect(found.map((message) => message.sid), sids, "SIDs");
  const other = await messages("list", "--to", "+14155550199");
  expect(other.length, 0, "messages to another number");
});

await check("redact a message", async () => {
  const [message] = await messages("update", "--sid", state.sid, "--body", "", "--properties", "sid,body");
  expect(message.body, "", "body");
});

await check("delete a message", async () => {
  const { code, err } = await run({}, "api:core:messages:remove", "--sid", state.sid);
  ensure(code === 0, `exit code ${code}: ${err}`);
  await refused(20404, {}, "api:core:messages:fetch", "--sid", state.sid);
});

await check("error 21211: a bad To", () =>
  refused(21211, {}, "api:core:messages:create", "--from", TWILIO_PHONE_NUMBER, "--to", "+1415", "--body", "x"));

await check("error 20003: a wrong token", () =>
  refused(20003, { TWILIO_AUTH_TOKEN: "0".repeat(32) }, "api:core:messages:fetch", "--sid", `SM${"0".repeat(32)}`));

await check("list the phone numbers", async () => {
  const numbers = await twilio("phone-numbers:list", "--properties", "sid,phoneNumber,friendlyName");
  const own = numbers.find((number) => number.phoneNumber === TWILIO_PHONE_NUMBER);
  ensure(own, `${TWILIO_PHONE_NUMBER} is missing`);
  state.number = own.sid;
});

await check("update a phone number", async () => {
  const url = "https://hooks.example.com/sms";
  const { code, err } = await run({}, "phone-numbers:update", state.number, "--sms-url", url);
  ensure(code === 0, `exit code ${code}: ${err}`);
  const args = ["--sid", state.number, "--properties", "sid,smsUrl"];
  const [number] = await twilio("api:core:incoming-phone-numbers:fetch", ...args);
  expect(number.smsUrl, url, "smsUrl");
});

await check("search available numbers", async () => {
  const args = ["--country-code", "US", "--contains", "415", "--limit", "3", "--properties", "phoneNumber"];
  const found = await twilio("api:core:available-phone-numbers:local:list", ...args);
  ensure(found.length > 0 && found.length <= 3, `${found.length} numbers`);
  for (const number of found) ensure(/^\+1\d*415/.test(number.phoneNumber), number.phoneNumber);
});

await check("fetch the account", async () => {
  const [account] = await twilio("api:core:accounts:fetch", "--sid", TWILIO_ACCOUNT_SID);
  expect(account.sid, TWILIO_ACCOUNT_SID, "sid");
});

rmSync(home, { recursive: true, force: true });
console.log(`cli: ${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
