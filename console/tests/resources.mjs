import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { screen, until } from "./support.mjs";

const PHONE = "+14155550123";

export const stories = {
  "a number's webhook is set by the form, and a bad one refused": async (story) => {
    const { world, app, page } = story;
    await page.goto(`${world.url}/console/numbers`);
    const last = world.env.phone_number.slice(-4);
    await page.locator("summary", { hasText: last }).click();
    const form = page.locator("details[open]");
    await form.getByRole("textbox", { name: "SmsUrl" }).fill("not a url");
    await form.getByRole("button", { name: "Save" }).click();
    await page.getByRole("alert").waitFor();
    await form.getByRole("textbox", { name: "SmsUrl" }).fill(`${app.url}/sms`);
    await form.getByRole("button", { name: "Save" }).click();
    await page.getByText(`texts go to ${app.url}/sms`).waitFor();
    await screen(page, "numbers");
    await world.own(`/handsets/${PHONE}/messages`, "POST", {
      to: world.env.phone_number,
      body: "ring ring",
    });
    await until(async () => app.heard.find(({ Body }) => Body === "ring ring"));
  },

  "a number is bought and released": async ({ world, page }) => {
    await page.goto(`${world.url}/console/numbers`);
    const cards = page.getByText("no program answers texts");
    await cards.first().waitFor();
    const before = await cards.count();
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByRole("button", { name: "Buy" }).first().click();
    await until(async () => (await cards.count()) === before + 1);
    await cards.first().click();
    await page.getByRole("button", { name: "Release", exact: true }).click();
    await page.getByRole("button", { name: "Release for good" }).click();
    await until(async () => (await cards.count()) === before);
  },

  "a service is created, changed and deleted by forms of its table": async ({ world, page }) => {
    await page.goto(`${world.url}/console/resources`);
    await page.getByRole("link", { name: "Services", exact: true }).first().click();
    await page.locator("summary", { hasText: "Create" }).click();
    await page.getByRole("textbox", { name: "FriendlyName" }).fill("Reminders");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("cell", { name: "Reminders" }).waitFor();
    await screen(page, "resources");
    await page.getByRole("link", { name: /^MG/ }).click();
    await page.getByRole("textbox", { name: "FriendlyName" }).fill("Alerts");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("definition").getByText("Alerts", { exact: true }).waitFor();
    await screen(page, "resource");
    await page.getByRole("link", { name: "PhoneNumbers", exact: true }).click();
    await page.getByText("None yet.").waitFor();
    await page.goBack();
    await page.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("button", { name: "Delete for good" }).click();
    await page.getByText("None yet.").waitFor();
  },

  "many messages scroll by pages": async ({ world, page }) => {
    const each = Array.from({ length: 450 }, (_, index) => index);
    while (each.length > 0) {
      const some = each.splice(0, 30);
      await Promise.all(some.map((index) => world.send({ To: PHONE, Body: `number ${index}` })));
    }
    await page.goto(`${world.url}/console/messages`);
    const list = page.getByRole("region", { name: "Messages" });
    await list.getByRole("link").first().waitFor();
    assert.ok((await list.getByRole("link").count()) < 100, "only what is in sight is there");
    await until(async () => {
      await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
      return (await list.getByText("number 0", { exact: true }).count()) === 1;
    });
    await screen(page, "messages");
  },

  "a hundred thousand messages scroll smoothly": async ({ world, page }) => {
    const { sid } = await world.send({ To: PHONE, Body: "the last one" });
    await world.stop();
    // Its copies, each a little older.
    const copies = `
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
columns = [row[1] for row in store.execute("PRAGMA table_info(message)")]
first = dict(zip(columns, store.execute("SELECT * FROM message WHERE id = ?", (sys.argv[2],)).fetchone()))
rows = []
for at in range(1, 100000):
    row = dict(first, id="%032x" % (int(first["id"], 16) - (at << 84)), body="number %d" % at)
    rows.append([row[name] for name in columns])
store.executemany("INSERT INTO message VALUES (%s)" % ",".join("?" * len(columns)), rows)
store.commit()
`;
    execFileSync("python3", ["-c", copies, join(world.data, "offhook.db"), sid.slice(2)]);
    await world.start();
    await page.goto(`${world.url}/console/messages`);
    const list = page.getByRole("region", { name: "Messages" });
    await list.getByText("the last one").waitFor();
    // Down to the end, as fast as the wheel turns; what a frame takes is measured all the while.
    await page.evaluate(() => {
      globalThis.frames = [];
      let last = performance.now();
      const frame = (now) => {
        globalThis.frames.push(now - last);
        last = now;
        requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    });
    await until(async () => {
      await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
      return (await page.getByText(/^\d+\+? messages$/).textContent()) === "100000 messages";
    }, 240);
    await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await list.getByText("number 99999", { exact: true }).waitFor();
    assert.ok((await list.getByRole("link").count()) < 100, "only what is in sight is there");
    const frames = await page.evaluate(() => globalThis.frames.sort((a, b) => a - b));
    const typical = frames[Math.floor(frames.length / 2)];
    assert.ok(typical < 34, `a frame takes ${typical} ms`);
  },

  "the clock is moved and a scheduled message arrives": async ({ world, page }) => {
    const service = await world.wire("/_/messaging/v1/Services", { FriendlyName: "Later" });
    const list = await world.wire("/_/api/2010-04-01/Accounts/{A}/IncomingPhoneNumbers.json");
    await world.wire(`/_/messaging/v1/Services/${service.sid}/PhoneNumbers`, {
      PhoneNumberSid: list.incoming_phone_numbers[0].sid,
    });
    await world.wire("/_/api/2010-04-01/Accounts/{A}/Messages.json", {
      To: PHONE,
      Body: "Good morning",
      MessagingServiceSid: service.sid,
      ScheduleType: "fixed",
      SendAt: new Date(Date.now() + 20 * 3600 * 1000).toISOString(),
    });
    await page.goto(`${world.url}/console/set-up`);
    await page.getByText("The next timer is due at").waitFor();
    await page.getByRole("button", { name: "+ 1 hour" }).click();
    await page.getByText("moved by +1 h").waitFor();
    await page.getByRole("button", { name: "To the next timer" }).click();
    await page.getByText(/moved by \+(19 h 59|20 h 0) min/).waitFor();
    await screen(page, "set-up");
    await page.goto(world.url);
    await page.getByText("Good morning").waitFor();
  },

  "the palette finds a view, a phone and a SID by keys alone": async ({ world, page }) => {
    const { sid } = await world.send({ To: PHONE, Body: "findable" });
    await page.goto(world.url);
    await page.getByText("findable").waitFor();
    const find = async (text) => {
      await page.keyboard.press("Control+k");
      await page.getByRole("searchbox").fill(text);
      await page.getByRole("menuitem").first().waitFor();
      if (text === "debug") await screen(page, "palette");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
    };
    await find("debug");
    await page.waitForURL("**/console/debugger");
    await find("5550123");
    await page.waitForURL(/open=/);
    await find(sid);
    await page.waitForURL(`**/console/activity?sid=${sid}`);
  },
};
