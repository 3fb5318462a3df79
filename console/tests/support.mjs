// What every story stands on: a platform of its own, a browser, a program that answers webhooks.

import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as listen } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const BINARY = process.env.OFFHOOK_BIN ?? "target/debug/offhook";
export const SCREENS = process.env.SCREENS_DIR ?? "target/console-screens";
const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

function freePort() {
  return new Promise((done) => {
    const server = listen().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

/** Waits until `what` gives something, at most `seconds`. */
export async function until(what, seconds = 10) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await what().catch(() => null);
    if (found) return found;
    assert.ok(Date.now() < end, `not within ${seconds} s: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** A platform on a port and a data directory of its own. */
export async function platform(...args) {
  const data = mkdtempSync(join(tmpdir(), "offhook-console-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let child;
  const start = async (host = "127.0.0.1") => {
    child = spawn(BINARY, ["up", "--listen", `${host}:${port}`, "--data", data, ...args], {
      stdio: "ignore",
      env: { ...process.env, OFFHOOK_STATE: join(data, "state") },
    });
    await until(async () => (await fetch(`${url}/healthz`)).ok, 30);
  };
  const stop = () =>
    new Promise((done) => {
      child.once("exit", done);
      child.kill("SIGTERM");
    });
  await start();
  const own = async (path, method = "GET", body) => {
    const init = { method, body: body && JSON.stringify(body) };
    return (await fetch(`${url}/_offhook/v1${path}`, init)).json();
  };
  const env = await own("/env");
  /** The wire API as an SDK uses it. */
  const wire = async (path, form) => {
    const login = Buffer.from(`${env.account_sid}:${env.auth_token}`).toString("base64");
    const response = await fetch(`${url}${path.replace("{A}", env.account_sid)}`, {
      method: form ? "POST" : "GET",
      headers: { Authorization: `Basic ${login}` },
      body: form && new URLSearchParams(form),
    });
    const answer = await response.json();
    assert.ok(response.ok, JSON.stringify(answer));
    return answer;
  };
  const send = (form) =>
    wire("/_/api/2010-04-01/Accounts/{A}/Messages.json", { From: env.phone_number, ...form });
  const end = async () => {
    await stop();
    rmSync(data, { recursive: true, force: true });
  };
  return { url, data, env, own, wire, send, start, stop, end };
}

/** A program with webhooks: what it heard, and what it answers. */
export async function program() {
  const heard = [];
  const program = { heard, status: 200, answer: "<Response/>" };
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      heard.push({ path: request.url, ...Object.fromEntries(new URLSearchParams(body)) });
      response.writeHead(program.status, { "Content-Type": "text/xml" });
      response.end(program.status === 200 ? program.answer : "it broke");
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  program.url = `http://127.0.0.1:${server.address().port}`;
  program.end = () => new Promise((done) => server.close(done));
  return program;
}

export async function browser(args = []) {
  const executablePath = process.env.CHROMIUM ?? BROWSERS.find(existsSync);
  assert.ok(executablePath, "Chromium is missing: apt-get install chromium");
  mkdirSync(SCREENS, { recursive: true });
  return chromium.launch({ executablePath, args: ["--no-sandbox", ...args] });
}

/** What the browser says of mails whose scripts do not run and whose pictures are not loaded. */
const MAIL = /directive: "(img-src data:|default-src 'none')"|Blocked script execution in/;

/** A tab in which an error of the page is an error of the story. */
export async function tab(browser, url, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    permissions: ["clipboard-read", "clipboard-write"],
    ...options,
  });
  const page = await context.newPage();
  page.faults = [];
  page.foreign = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    const text = message.text();
    const isExpected = text.includes("Failed to load resource") || MAIL.test(text);
    if (message.type() === "error" && !isExpected) {
      page.faults.push(text);
    }
  });
  page.on("request", (request) => {
    const to = request.url();
    if (!to.startsWith(url) && !to.startsWith("blob:") && !to.startsWith("data:")) {
      page.foreign.push(to);
    }
  });
  page.setDefaultTimeout(10_000);
  return page;
}

export const screen = (page, name) => page.screenshot({ path: join(SCREENS, `${name}.png`) });
