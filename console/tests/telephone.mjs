// The call screen of the simulated phones, TwiML as it is typed, and a code that is read on a phone.

import { strict as assert } from "node:assert";
import { screen, until } from "./support.mjs";

const PHONE = "+14155550123";
const CALLS = "/_/api/2010-04-01/Accounts/{A}/Calls.json";

const phone = (page, number = PHONE) => page.getByRole("article", { name: number });

const ringing = (world) => world.own(`/handsets/${PHONE}`, "PUT", { when_called: "ring" });

/** A call to the phone, with a document. */
const call = (world, twiml) =>
  world.wire(CALLS, { To: PHONE, From: world.env.phone_number, Twiml: twiml });

export const stories = {
  "a call rings, is answered, keys are pressed and words spoken": async (story) => {
    const { world, app, page } = story;
    await ringing(world);
    await page.goto(world.url);
    app.answer = `<Response><Gather input="speech" action="${app.url}/said"><Say>Who are you?</Say></Gather></Response>`;
    await call(
      world,
      `<Response><Gather numDigits="1" action="${app.url}/key"><Say>Press a key.</Say></Gather></Response>`,
    );
    await phone(page).getByText("Ringing from").waitFor();
    await screen(page, "call-rings");
    await phone(page).getByRole("button", { name: "Answer" }).click();
    const heard = phone(page).getByRole("list", { name: "Heard" });
    await heard.getByText("Press a key.").waitFor();
    // Of what a key or a word cuts off, only the beginning would be there.
    await page.waitForTimeout(1200);
    await phone(page).getByRole("button", { name: "Key 7" }).click();
    await until(async () => app.heard.find(({ Digits }) => Digits === "7"));
    await heard.getByText("Who are you?").waitFor();
    await page.waitForTimeout(1200);
    app.answer = "<Response><Say>Hello Ada</Say><Pause length='30'/></Response>";
    await phone(page).getByRole("textbox", { name: "Say" }).fill("I am Ada");
    await phone(page).getByRole("button", { name: "Say" }).click();
    await until(async () => app.heard.find(({ SpeechResult }) => SpeechResult === "I am Ada"));
    await heard.getByText("Hello Ada").waitFor();
    for (const line of ["Press a key.", "7", "Who are you?", "I am Ada"]) {
      assert.equal(await heard.getByText(line, { exact: true }).count(), 1, line);
    }
    await screen(page, "call");
    await phone(page).getByRole("button", { name: "Hang up" }).click();
    await phone(page).getByText("1 call before").click();
    await phone(page).getByText("Ended from").waitFor();
    await phone(page).getByRole("link").first().click();
    const timeline = page.getByRole("region", { name: "Timeline" });
    for (const kind of ["call.ringing", "call.completed"]) {
      await timeline.getByText(kind, { exact: true }).first().waitFor();
    }
    await timeline.getByText("The exact HTTP").first().click();
    await timeline.getByRole("list", { name: "TwiML" }).first().waitFor();
  },

  "a call is declined, and one is made from the phone": async ({ world, app, page }) => {
    await ringing(world);
    const declined = await call(world, "<Response><Say>Hello</Say></Response>");
    await page.goto(world.url);
    await phone(page).getByRole("button", { name: "Reject" }).click();
    await until(async () => {
      const path = CALLS.replace(".json", `/${declined.sid}.json`);
      return (await world.wire(path)).status === "busy";
    });
    const numbers = "/_/api/2010-04-01/Accounts/{A}/IncomingPhoneNumbers";
    const { sid } = (await world.wire(`${numbers}.json`)).incoming_phone_numbers[0];
    await world.wire(`${numbers}/${sid}.json`, { VoiceUrl: `${app.url}/voice` });
    app.answer = "<Response><Say>You called</Say><Pause length='30'/></Response>";
    await phone(page).getByRole("button", { name: "Call", exact: true }).click();
    await phone(page).getByText("On the phone to").waitFor();
    await phone(page).getByText("You called").waitFor();
    await phone(page)
      .getByRole("combobox", { name: /When .* is called/ })
      .selectOption("rings, judged by sound");
    await until(async () => {
      const told = await world.own(`/handsets/${PHONE}`);
      return told.when_called === "ring" && told.answered_by === "somebody";
    });
    await phone(page)
      .getByRole("combobox", { name: /When .* is called/ })
      .selectOption("busy");
    await until(async () => (await world.own(`/handsets/${PHONE}`)).when_called === "busy");
  },

  "a document is checked while it is typed, and runs on a phone": async ({ world, page }) => {
    await page.goto(`${world.url}/console/playground`);
    const source = page.getByRole("textbox", { name: "TwiML document" });
    await page.getByText("Nothing is wrong.").waitFor();
    await source.fill("<Response>\n  <Sya>Hello</Sya>\n</Response>");
    await page.getByText("line 2, column 3").waitFor();
    await source.fill("<Response><Say>");
    await page.getByRole("link", { name: "12100" }).waitFor();
    await page.getByText("It does nothing.").waitFor();
    await screen(page, "playground-faulty");
    await source.fill("<Response><Say>From the playground</Say><Pause length='20'/></Response>");
    await page.getByText("Nothing is wrong.").waitFor();
    await page.getByRole("button", { name: "Call it with this" }).click();
    await phone(page)
      .getByRole("list", { name: "Heard" })
      .getByText("From the playground")
      .waitFor();
    await screen(page, "playground");
    await page.getByRole("combobox", { name: "For" }).selectOption("messaging");
    await source.fill("<Response><Dial>+14155550100</Dial></Response>");
    await page.getByRole("link", { name: "14110" }).waitFor();
    // A mistake leads to its place; what is right answers what somebody types on the phone.
    await source.fill("<Response>\n  <Message>Good day, Ada</Message>\n  <Mesage/>\n</Response>");
    await page.getByRole("button", { name: "line 3, column 3" }).click();
    assert.equal(
      await source.evaluate((area) => area.value.slice(area.selectionStart)),
      "<Mesage/>\n</Response>",
    );
    await page.getByRole("textbox", { name: "types" }).fill("Anybody there?");
    await page.getByRole("button", { name: "Answer a text with this" }).click();
    const thread = phone(page).getByRole("log");
    await thread.getByText("Anybody there?").waitFor();
    await thread.getByText("Good day, Ada").waitFor();
    await screen(page, "playground-message");
    await page.goto(`${world.url}/console/debugger`);
    await page.getByRole("link", { name: "12200" }).first().waitFor();
  },

  "a program's faulty document shows its mistake at the line": async ({ world, app, page }) => {
    const numbers = "/_/api/2010-04-01/Accounts/{A}/IncomingPhoneNumbers";
    const { sid } = (await world.wire(`${numbers}.json`)).incoming_phone_numbers[0];
    await world.wire(`${numbers}/${sid}.json`, { SmsUrl: `${app.url}/sms` });
    app.answer = "<Response>\n  <Mesage>typo</Mesage>\n</Response>";
    const sent = await world.own(`/handsets/${PHONE}/messages`, "POST", {
      to: world.env.phone_number,
      body: "hello?",
    });
    await page.goto(`${world.url}/console/activity?sid=${sent.sid}`);
    const timeline = page.getByRole("region", { name: "Timeline" });
    await timeline.getByText("The exact HTTP").first().click();
    await timeline.locator(".faulty").getByText("line 2, column 3").waitFor();
    await screen(page, "faulty-twiml");
    await page.goto(`${world.url}/console/debugger`);
    await page.getByRole("link", { name: "12200" }).first().click();
    await page.getByRole("list", { name: "TwiML" }).waitFor();
    await page.getByText("line 2, column 3").waitFor();
    await screen(page, "debugger-twiml");
  },

  "a login code is read on the phone, and its verification followed": async ({ world, page }) => {
    const service = await world.wire("/_/verify/v2/Services", { FriendlyName: "Owl" });
    const started = await world.wire(`/_/verify/v2/Services/${service.sid}/Verifications`, {
      To: PHONE,
      Channel: "sms",
    });
    await page.goto(world.url);
    const said = phone(page).getByRole("log").getByText("Owl");
    const [code] = /\d{6}/.exec(await said.first().textContent());
    await world.wire(`/_/verify/v2/Services/${service.sid}/VerificationCheck`, {
      To: PHONE,
      Code: code,
    });
    await page.goto(`${world.url}/console/activity?sid=${started.sid}`);
    const timeline = page.getByRole("region", { name: "Timeline" });
    for (const kind of ["verify.pending", "verify.sent", "verify.delivered", "verify.approved"]) {
      await timeline.getByText(kind, { exact: true }).waitFor();
    }
    await timeline.getByText("channel sms").first().waitFor();
    await screen(page, "verification");
  },

  "a mail is read in a frame in which nothing runs": async ({ world, app, page }) => {
    const html = `<h1 style="color: #008000">Hello Ann</h1><script>top.document.title="2"</script>
      <img src="${app.url}/x.png" onerror="top.document.title=3">
      <a href="https://example.com/">there</a>`;
    const response = await fetch(`${world.url}/v3/mail/send`, {
      method: "POST",
      headers: { Authorization: "Bearer SG.any.key", "Content-Type": "application/json" },
      body: JSON.stringify({
        personalizations: [{ to: [{ email: "ann@example.com" }] }],
        from: { email: "shop@example.com" },
        subject: "Your order",
        content: [{ type: "text/html", value: html }],
      }),
    });
    assert.equal(response.status, 202, await response.text());
    await page.goto(`${world.url}/console/mail`);
    await page.getByRole("button", { name: "Your order" }).waitFor();
    const hello = page.frameLocator("iframe").getByText("Hello Ann");
    const colour = await hello.evaluate((element) => getComputedStyle(element).color);
    assert.equal(colour, "rgb(0, 128, 0)", "it looks as its writer wants it");
    const events = page.getByRole("list", { name: "What became of it" });
    await events.getByText("delivered").waitFor();
    await page.getByRole("button", { name: "click", exact: true }).click();
    await events.getByText("click", { exact: true }).waitFor();
    assert.equal(await page.title(), "Offhook");
    // The browser tells of the picture, and does not ask for it.
    assert.deepEqual(app.heard, []);
    page.foreign = page.foreign.filter((url) => !url.startsWith(app.url));
    await screen(page, "mail");
  },
};
