// Signing in where others can reach the instance, and what each role sees.

import { strict as assert } from "node:assert";
import { screen, until } from "./support.mjs";

const PHONE = "+14155550123";
const PASSWORD = "correct horse battery";

/** The instance as others reach it, with users named as their roles. */
async function reachable(world) {
  for (const role of ["owner", "developer", "support", "billing", "auditor"]) {
    await world.own("/users", "POST", { name: role, role, password: PASSWORD });
  }
  await world.send({ To: PHONE, Body: "the secret word" });
  await until(async () => (await world.own(`/handsets/${PHONE}/messages`)).messages.length > 0);
  await world.stop();
  await world.start("0.0.0.0");
}

async function enter(page, user, password = PASSWORD) {
  await page.getByRole("textbox", { name: "User" }).fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function leave(page) {
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("button", { name: "Sign in" }).waitFor();
}

const views = (page) => page.getByRole("navigation", { name: "Views" });

export const stories = {
  "an owner signs in, and a wrong password is told": async ({ world, page }) => {
    await reachable(world);
    await page.goto(`${world.url}/console/set-up`);
    await enter(page, "owner", "not the password");
    await page.getByRole("alert").getByText("Nobody signs in").waitFor();
    await screen(page, "sign-in");
    await enter(page, "owner");
    await page.getByText("live", { exact: true }).waitFor();
    await page.getByText("This instance's clock does not move").waitFor();
    await page.getByRole("combobox", { name: "Role of auditor" }).waitFor();
    const [cookie] = await page.context().cookies(`${world.url}/_offhook/v1`);
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
    await page.reload();
    await page.getByText("live", { exact: true }).waitFor();
    await screen(page, "signed-in");
  },

  "every role sees what it is for": async ({ world, page }) => {
    await reachable(world);
    await page.goto(world.url);
    await enter(page, "developer");
    await page.getByText("the secret word").first().waitFor();
    await page.getByRole("textbox", { name: "Message" }).waitFor();
    await page.goto(`${world.url}/console/set-up`);
    await page.getByText("TWILIO_AUTH_TOKEN", { exact: true }).waitFor();
    await page.getByRole("heading", { name: "Opt-outs" }).waitFor();
    assert.equal(await page.getByRole("heading", { name: "Users" }).count(), 0);
    await leave(page);

    await page.goto(world.url);
    await enter(page, "support");
    await page.getByText("the secret word").first().waitFor();
    assert.equal(await page.getByRole("textbox", { name: "Message" }).count(), 0);
    assert.equal(await page.getByRole("button", { name: "Call", exact: true }).count(), 0);
    await leave(page);

    await page.goto(world.url);
    await enter(page, "auditor");
    await page.getByRole("heading", { name: "Activity" }).waitFor();
    assert.equal(await views(page).getByRole("link", { name: "Phones" }).count(), 0);
    await page.getByText("message.delivered").first().waitFor();
    await screen(page, "auditor");
    for (const path of ["console/activity", "console/messages"]) {
      await page.goto(`${world.url}/${path}`);
      await page.getByText("[left out]").first().waitFor();
      const text = await page.locator("main").textContent();
      assert.ok(!text.includes("secret word") && !text.includes("5550123"), path);
    }
    await leave(page);

    await page.goto(world.url);
    await enter(page, "billing");
    await page.getByRole("heading", { name: "Usage this month" }).waitFor();
    await page.getByText("sms-outbound").first().waitFor();
    assert.equal(await views(page).getByRole("link").count(), 1);
    await screen(page, "billing");
  },

  "a session that ends elsewhere is asked for again, in every tab": async ({ world, page }) => {
    await reachable(world);
    await page.goto(world.url);
    await enter(page, "support");
    await page.getByText("the secret word").first().waitFor();
    const other = await page.context().newPage();
    await other.goto(world.url);
    await other.getByText("the secret word").first().waitFor();
    const login = Buffer.from(`${world.env.account_sid}:${world.env.auth_token}`);
    const removed = await fetch(`${world.url}/_offhook/v1/users/support`, {
      method: "DELETE",
      headers: { Authorization: `Basic ${login.toString("base64")}` },
    });
    assert.equal(removed.status, 204);
    for (const one of [page, other]) {
      await one.getByRole("button", { name: "Sign in" }).waitFor({ timeout: 15_000 });
    }
    await enter(page, "owner");
    await page.getByText("the secret word").first().waitFor();
  },
};
