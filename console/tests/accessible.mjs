import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { screen, tab } from "./support.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PHONE = "+14155550123";

/** Path, heading and the name of the picture. */
const views = ({ message, service }) => [
  ["", "Phones", "phones"],
  ["console/activity", "Activity", "activity"],
  [`console/activity?sid=${message}`, "Activity", "timeline"],
  ["console/messages", "Messages", "messages"],
  ["console/numbers", "Numbers", "numbers"],
  ["console/resources?at=/_/messaging/v1/Services", "Resources", "list"],
  [`console/resources?at=/_/messaging/v1/Services/${service}`, "Resources", "record"],
  ["console/debugger?code=11200", "Debugger", "debugger"],
  ["console/dead-letters", "Dead letters", "dead-letters"],
  ["console/mail", "Mail", "mail"],
  ["console/playground", "TwiML", "playground"],
  ["console/set-up", "Set-up", "set-up"],
];

/** Something of everything, so that no view is empty. */
async function busy({ world, app }) {
  app.status = 500;
  const code = { To: PHONE, Body: "Your code is 123456", StatusCallback: app.url };
  const message = await world.send(code);
  await world.own(`/handsets/${PHONE}/messages`, "POST", {
    to: world.env.phone_number,
    body: "Thanks! Is it still valid?",
  });
  const service = await world.wire("/_/messaging/v1/Services", { FriendlyName: "Reminders" });
  await world.own("/handsets/+14155550124", "PUT", { name: "Ada", behaviour: "slow" });
  await world.own("/users", "POST", { name: "ada", role: "owner", password: "correct horse" });
  const mail = {
    personalizations: [{ to: [{ email: "ann@example.com" }] }],
    from: { email: "shop@example.com" },
    subject: "Your order",
    content: [{ type: "text/html", value: "<p>It is on its way</p>" }],
  };
  await fetch(`${world.url}/v3/mail/send`, {
    method: "POST",
    headers: { Authorization: "Bearer SG.any.key", "Content-Type": "application/json" },
    body: JSON.stringify(mail),
  });
  await world.wire("/_/api/2010-04-01/Accounts/{A}/Calls.json", {
    To: PHONE,
    From: world.env.phone_number,
    Twiml: "<Response><Say>Good morning</Say><Pause length='600'/></Response>",
  });
  return { message: message.sid, service: service.sid };
}

async function serious(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
}

async function everyView(story, options, suffix) {
  const { world, page, chrome } = story;
  const made = await busy(story);
  const other = await tab(chrome, world.url, options);
  const found = [];
  for (const [path, name, picture] of views(made)) {
    await other.goto(`${world.url}/${path}`);
    await other.getByRole("heading", { name, exact: true }).first().waitFor({ state: "attached" });
    await other.waitForTimeout(300);
    for (const details of await other.locator("#main details:visible").all()) {
      await details.evaluate((element) => {
        element.open = true;
      });
    }
    await screen(other, `${picture}-${suffix}`);
    const wide = await other.evaluate(
      () => document.documentElement.scrollWidth > document.documentElement.clientWidth,
    );
    if (wide) found.push(`${picture} is wider than the screen`);
    found.push(...(await serious(other)).map((fault) => `${picture}: ${fault}`));
  }
  page.faults.push(...other.faults);
  await other.context().close();
  assert.deepEqual(found, []);
}

export const stories = {
  "the palette and the sign-in page are accessible": async ({ world, page }) => {
    await page.goto(world.url);
    await page.getByRole("button", { name: "Find" }).click();
    await page.getByRole("menuitem").first().waitFor();
    assert.deepEqual(await serious(page), []);
    await world.stop();
    await world.start("0.0.0.0");
    await page.goto(world.url);
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    assert.deepEqual(await serious(page), []);
  },
  "every view is accessible in the light": (story) =>
    everyView(story, { colorScheme: "light" }, "light"),
  "every view is accessible in the dark": (story) =>
    everyView(story, { colorScheme: "dark" }, "dark"),
  "every view is accessible at the width of a phone": (story) =>
    everyView(story, { viewport: { width: 390, height: 844 }, hasTouch: true }, "narrow"),
};
