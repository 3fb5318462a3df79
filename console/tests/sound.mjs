// The sound of a simulated phone's call in the page, by WebRTC: heard, and spoken into.

import { strict as assert } from "node:assert";
import { browser, screen, tab, until } from "./support.mjs";

const PHONE = "+14155550123";
const OTHER = "+14155550124";
const CALLS = "/_/api/2010-04-01/Accounts/{A}/Calls.json";
/** Samples a second. */
const RATE = 8000;

const phone = (page, number = PHONE) => page.getByRole("article", { name: number });

/** What a page hears of a phone's call now, 0 to 1. */
const level = (page, number) =>
  phone(page, number)
    .getByRole("meter", { name: "Sound heard" })
    .evaluate((meter) => meter.value);

/** The newest recording, when it is complete. */
export async function recording(world) {
  const path = "/_/api/2010-04-01/Accounts/{A}/Recordings";
  const found = await until(async () => {
    const [newest] = (await world.wire(`${path}.json`)).recordings;
    return newest?.status === "completed" && newest;
  }, 20);
  const login = Buffer.from(`${world.env.account_sid}:${world.env.auth_token}`).toString("base64");
  const url = `${world.url}${path}/${found.sid}.wav?RequestedChannels=${found.channels}`;
  const answer = await fetch(url.replace("{A}", world.env.account_sid), {
    headers: { Authorization: `Basic ${login}` },
  });
  const file = Buffer.from(await answer.arrayBuffer());
  const all = new Int16Array(file.buffer, file.byteOffset + 44, (file.length - 44) >> 1);
  const channel = (at) => all.filter((_, index) => index % found.channels === at);
  return { found, channels: found.channels, samples: channel(0), channel };
}

export const loudest = (samples) =>
  samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);

/** Times in seconds at which a sound begins after a quarter of a second of silence. */
export function beeps(samples) {
  const found = [];
  let silent = RATE;
  for (let at = 0; at < samples.length; at += 1) {
    if (Math.abs(samples[at]) < 2000) {
      silent += 1;
      continue;
    }
    if (silent > RATE / 4) found.push(at / RATE);
    silent = 0;
  }
  return found;
}

export const stories = {
  "a call is heard in the page, from within a sentence that was begun": async (story) => {
    const { world, page } = story;
    const sentence = "One, two, three, four, five, six, seven, eight, nine, ten. ".repeat(12);
    await page.goto(world.url);
    await world.wire(CALLS, {
      To: PHONE,
      From: world.env.phone_number,
      Twiml: `<Response><Say>${sentence}</Say></Response>`,
    });
    await phone(page).getByRole("list", { name: "Heard" }).getByText("One, two").waitFor();
    await phone(page).getByRole("button", { name: "Listen" }).click();
    await until(async () => (await level(page)) > 0.05, 20);
    await screen(page, "call-heard");
    await phone(page).getByRole("button", { name: "Stop listening" }).click();
    assert.equal(await phone(page).getByRole("meter").count(), 0);
    // Who has stopped takes no place: it can be done again and again.
    for (let turn = 0; turn < 6; turn += 1) {
      await phone(page).getByRole("button", { name: "Listen" }).click();
      await until(async () => (await level(page)) > 0.05, 20);
      await phone(page).getByRole("button", { name: "Stop listening" }).click();
    }
    await phone(page).getByRole("button", { name: "Hang up" }).click();
    await phone(page).getByText("1 call before").waitFor();
  },

  "words into the microphone are on the other phone and in the recording": async ({ world }) => {
    // A microphone that beeps every half second.
    const chrome = await browser([
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
    ]);
    const page = await tab(chrome, world.url);
    await page.goto(world.url);
    await world.wire(CALLS, {
      To: PHONE,
      From: world.env.phone_number,
      Twiml: `<Response><Dial record="record-from-answer-dual">${OTHER}</Dial></Response>`,
    });
    await phone(page, PHONE).waitFor();
    await phone(page, OTHER).waitFor();
    const screens = [PHONE, OTHER].map((number) =>
      phone(page, number).getByRole("button", { name: "Listen" }),
    );
    for (const button of screens) await button.waitFor();
    await screens[1].click();
    // Nobody has asked for the microphone, so there is nothing to hear.
    await page.waitForTimeout(1500);
    assert.ok((await level(page, OTHER)) < 0.01);
    await phone(page, PHONE).getByRole("button", { name: "Speak by microphone" }).click();
    await phone(page, PHONE).getByRole("button", { name: "Stop the microphone" }).waitFor();
    await until(async () => (await level(page, OTHER)) > 0.05, 20);
    await screen(page, "call-spoken");
    await page.waitForTimeout(4000);
    await phone(page, PHONE).getByRole("button", { name: "Stop the microphone" }).click();
    await until(async () => (await level(page, OTHER)) < 0.01, 5);
    await phone(page, PHONE).getByRole("button", { name: "Hang up" }).click();
    await phone(page, OTHER).getByText("1 call before").waitFor();
    const { found, channels, channel } = await recording(world);
    assert.equal(channels, 2);
    const seconds = channel(0).length / RATE;
    assert.ok(Math.abs(seconds - Number(found.duration)) <= 1, `${seconds} of ${found.duration}`);
    const said = beeps(channel(0));
    assert.ok(said.length >= 3, `beeps at ${said}`);
    const between = said.slice(1).map((at, index) => at - said[index]);
    assert.ok(
      between.some((gap) => Math.abs(gap - 0.5) < 0.1),
      `half a second between: ${between}`,
    );
    assert.ok(said[0] > 1, "what was before somebody listened is silence");
    assert.equal(beeps(channel(1)).length, 0, "the other phone said nothing");
    assert.deepEqual(page.faults, []);
    await chrome.close();
  },
};
