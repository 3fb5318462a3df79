import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { platform, screen, until } from "./support.mjs";

const PHONE = "+14155550123";

export const stories = {
  "a failing webhook is found with its exact HTTP, fixed and made again": async (story) => {
    const { world, app, page } = story;
    app.status = 500;
    await page.goto(`${world.url}/console/activity`);
    await world.send({ To: PHONE, Body: "listen", StatusCallback: `${app.url}/status?a='b'` });
    await world.send({ To: "+14155550199", Body: "another matter" });
    const lines = page.getByRole("region", { name: "Events" });
    await lines.getByText("another matter").first().waitFor();
    await page.getByRole("combobox", { name: "Kind" }).selectOption("webhook");
    await lines.getByText("500: POST").first().click();
    const timeline = page.getByRole("region", { name: "Timeline" });
    for (const kind of ["message.queued", "message.sent", "message.delivered"]) {
      await timeline.getByText(kind, { exact: true }).waitFor();
    }
    await timeline.getByText("The exact HTTP").first().click();
    await timeline.getByText("X-Twilio-Signature").first().waitFor();
    await timeline.getByText("it broke").first().waitFor();
    await timeline.getByText("MessageStatus =").first().waitFor();
    await timeline.getByRole("button", { name: "Copy as curl" }).first().click();
    await screen(page, "activity");
    const curl = await until(() => page.evaluate(() => navigator.clipboard.readText()));
    assert.match(curl, /^curl -i -X POST 'http:\/\/127\.0\.0\.1:\d+\/status\?a=/);
    assert.match(curl, /-H 'X-Twilio-Signature: /);
    app.status = 200;
    const before = app.heard.length;
    await timeline.getByRole("button", { name: "Make it again" }).first().click();
    await until(async () => app.heard.length === before + 1);
    await timeline.getByText("200: POST").first().waitFor();
    await timeline.getByRole("link", { name: "11200" }).first().click();
    await page.getByRole("heading", { name: "Error 11200" }).waitFor();
    await page.getByText("What to do.").waitFor();
    await screen(page, "debugger");
  },

  "activity is narrowed by text and by its address": async ({ world, page }) => {
    await world.send({ To: PHONE, Body: "the needle" });
    await world.send({ To: PHONE, Body: "hay" });
    await page.goto(`${world.url}/console/activity`);
    const lines = page.getByRole("region", { name: "Events" });
    await lines.getByText("hay").first().waitFor();
    await page.getByRole("textbox", { name: "Text, number or SID" }).fill("NEEDLE");
    await lines.getByText("hay").first().waitFor({ state: "detached" });
    await lines.getByText("the needle").first().waitFor();
    await page.reload();
    await lines.getByText("the needle").first().waitFor();
    assert.equal(await lines.getByText("hay").count(), 0);
  },

  "a message whose carrier was away is a dead letter, and arrives when it is replayed": async (
    story,
  ) => {
    const { world: carrier, page } = story;
    const folder = mkdtempSync(join(tmpdir(), "offhook-console-"));
    const config = join(folder, "offhook.toml");
    const lines = [
      "[carriers.twilio]",
      `account_sid = "${carrier.env.account_sid}"`,
      `auth_token = "${carrier.env.auth_token}"`,
      `base_url = "${carrier.url}"`,
      "[[routes]]",
      'carriers = ["twilio"]',
    ];
    writeFileSync(config, lines.join("\n"));
    const world = await platform("--config", config);
    try {
      await carrier.stop();
      const { sid } = await world.send({ To: PHONE, Body: "better late than never" });
      // Tries are further and further apart: the clock takes us to the end of them.
      await until(async () => {
        await world.own("/clock", "POST", { advance_seconds: 600 });
        return (await world.own("/dead-jobs")).dead_jobs.length > 0;
      }, 60);
      await page.goto(`${world.url}/console/dead-letters`);
      const again = page.getByRole("button", { name: "Replay", exact: true });
      await again.waitFor();
      await screen(page, "dead-letters");
      // What was tried in vain is in its timeline.
      await page.goto(`${world.url}/console/activity?sid=${sid}`);
      const timeline = page.getByRole("region", { name: "Timeline" });
      await timeline.getByText("job.failed", { exact: true }).first().waitFor();
      await timeline.getByText("job.dead", { exact: true }).waitFor();
      await timeline
        .getByText(/connection refused/)
        .first()
        .waitFor();
      await screen(page, "timeline-failed");
      await page.goto(`${world.url}/console/dead-letters`);
      await carrier.start();
      await again.click();
      await page.getByText("Nothing has failed for good").waitFor();
      await until(async () => {
        const { messages } = await carrier.own(`/handsets/${PHONE}/messages`);
        return messages.find(({ body }) => body === "better late than never");
      });
    } finally {
      await page.goto("about:blank");
      page.foreign = page.foreign.filter((url) => !url.startsWith(world.url));
      await world.end();
      rmSync(folder, { recursive: true });
    }
  },
};
