import { strict as assert } from "node:assert";
import { screen, until } from "./support.mjs";

const PHONE = "+14155550123";

export const stories = {
  "a failing webhook is found, with its exact HTTP and what to do": async (story) => {
    const { world, app, page } = story;
    app.status = 500;
    await page.goto(`${world.url}/console/activity`);
    await world.send({ To: PHONE, Body: "listen", StatusCallback: `${app.url}/status?a='b'` });
    await world.send({ To: "+14155550199", Body: "another matter" });
    const lines = page.getByRole("region", { name: "Events" });
    await lines.getByText("another matter").first().waitFor();
    await page.getByRole("combobox", { name: "Kind" }).selectOption("webhook");
    await lines.getByText("→ 500").first().click();
    const timeline = page.getByRole("region", { name: "Timeline" });
    await timeline.getByText("message.delivered").waitFor();
    for (const kind of ["message.queued", "message.sent"]) {
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

  "a dead letter is replayed": async ({ world, app, page }) => {
    app.status = 500;
    const sink = await world.wire("/_/events/v1/Sinks", {
      Description: "d",
      SinkType: "webhook",
      SinkConfiguration: JSON.stringify({
        destination: `${app.url}/events`,
        method: "POST",
        batch_events: false,
      }),
    });
    await world.wire("/_/events/v1/Subscriptions", {
      Description: "d",
      SinkSid: sink.sid,
      Types: JSON.stringify({ type: "com.twilio.messaging.message.queued" }),
    });
    await world.send({ To: PHONE, Body: "for the sink" });
    // Tries are further and further apart: the clock takes us to the end of them.
    await until(async () => {
      await world.own("/clock", "POST", { advance_seconds: 86_400 });
      return (await world.own("/dead-jobs")).dead_jobs.length > 0;
    }, 60);
    await page.goto(`${world.url}/console/dead-letters`);
    await page.getByRole("button", { name: "Replay", exact: true }).first().waitFor();
    await screen(page, "dead-letters");
    app.status = 200;
    const before = app.heard.length;
    await page.getByRole("button", { name: "Replay", exact: true }).first().click();
    await page.getByText("Nothing has failed for good").waitFor();
    await until(async () => app.heard.length > before);
  },
};
