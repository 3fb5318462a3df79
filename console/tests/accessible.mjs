import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { screen, tab } from "./support.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PHONE = "+14155550123";
const VIEWS = {
  "": "Phones",
  "console/activity": "Activity",
  "console/messages": "Messages",
  "console/numbers": "Numbers",
  "console/resources?at=/_/messaging/v1/Services": "Resources",
  "console/debugger?code=11200": "Debugger",
  "console/dead-letters": "Dead letters",
  "console/set-up": "Set-up",
};

/** Something of everything, so that no view is empty. */
async function busy({ world, app }) {
  app.status = 500;
  await world.send({ To: PHONE, Body: "Your code is 123456", StatusCallback: app.url });
  await world.own(`/handsets/${PHONE}/messages`, "POST", {
    to: world.env.phone_number,
    body: "Thanks! Is it still valid?",
  });
  await world.wire("/_/messaging/v1/Services", { FriendlyName: "Reminders" });
  await world.own("/handsets/+14155550124", "PUT", { name: "Ada", behaviour: "slow" });
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
  await busy(story);
  const other = await tab(chrome, world.url, options);
  const found = [];
  for (const [path, name] of Object.entries(VIEWS)) {
    await other.goto(`${world.url}/${path}`);
    await other.getByRole("heading", { name, exact: true }).first().waitFor({ state: "attached" });
    await other.waitForTimeout(300);
    await screen(other, `${name.toLowerCase().replace(" ", "-")}-${suffix}`);
    const wide = await other.evaluate(
      () => document.documentElement.scrollWidth > document.documentElement.clientWidth,
    );
    if (wide) found.push(`${name} is wider than the screen`);
    found.push(...(await serious(other)).map((fault) => `${name}: ${fault}`));
  }
  page.faults.push(...other.faults);
  await other.context().close();
  assert.deepEqual(found, []);
}

export const stories = {
  "every view is accessible in the light": (story) =>
    everyView(story, { colorScheme: "light" }, "light"),
  "every view is accessible in the dark": (story) =>
    everyView(story, { colorScheme: "dark" }, "dark"),
  "every view is accessible at the width of a phone": (story) =>
    everyView(story, { viewport: { width: 390, height: 844 }, hasTouch: true }, "narrow"),
};
