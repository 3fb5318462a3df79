import { strict as assert } from "node:assert";
import { screen, until } from "./support.mjs";

const PHONE = "+14155550123";
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const phone = (page, number = PHONE) => page.getByRole("article", { name: number });

async function write(page, text, number = PHONE) {
  const box = phone(page, number).getByRole("textbox", { name: "Message" });
  await box.fill(text);
  await box.press("Enter");
}

export const stories = {
  "the first message is seen within a second": async ({ world, page }) => {
    await page.goto(world.url);
    await page.getByText("live", { exact: true }).waitFor();
    const sent = Date.now();
    await world.send({ To: PHONE, Body: "Hello from an SDK" });
    await phone(page).getByText("Hello from an SDK").waitFor();
    const took = Date.now() - sent;
    assert.ok(took < 1000, `it took ${took} ms`);
    await world.send({ To: "+14155550124", Body: "Your table is ready at 7 pm" });
    await phone(page, "+14155550124").getByText("Your table is ready").waitFor();
    await screen(page, "phones");
  },

  "a reply typed on the phone reaches the program and is answered": async (story) => {
    const { world, app, page } = story;
    const numbers = "/_/api/2010-04-01/Accounts/{A}/IncomingPhoneNumbers";
    const list = await world.wire(`${numbers}.json`);
    const { sid } = list.incoming_phone_numbers[0];
    await world.wire(`${numbers}/${sid}.json`, { SmsUrl: `${app.url}/sms` });
    app.answer = "<Response><Message>You said it</Message></Response>";
    await world.send({ To: PHONE, Body: "What now?" });
    await page.goto(world.url);
    await phone(page).getByText("What now?").waitFor();
    await write(page, "Ship it");
    await until(async () => app.heard.find(({ Body }) => Body === "Ship it"));
    await phone(page).getByText("You said it").waitFor();
  },

  "a phone is added, named, told to be off, and writes first": async ({ world, page }) => {
    await page.goto(world.url);
    const number = page.getByRole("textbox", { name: "Number of a new phone" });
    await number.fill("12");
    await page.getByRole("button", { name: "Add" }).click();
    await page.getByRole("alert").getByText("not a phone number").waitFor();
    await number.fill(PHONE);
    await page.getByRole("button", { name: "Add" }).click();
    await phone(page).getByRole("button", { name: "Name this phone" }).click();
    await page.keyboard.type("Ada");
    await page.keyboard.press("Enter");
    await page.getByRole("article", { name: `Ada, ${PHONE}` }).waitFor();
    await phone(page)
      .getByRole("textbox", { name: "To", exact: true })
      .fill(world.env.phone_number);
    await write(page, "Me first");
    await phone(page).getByRole("log").getByText("Me first").waitFor();
    await phone(page).getByRole("combobox", { name: "Behaviour" }).selectOption("off");
    await until(async () => (await world.own(`/handsets/${PHONE}`)).behaviour === "off");
    const { sid } = await world.send({ To: PHONE, Body: "Nobody hears" });
    await page.goto(`${world.url}/console/activity?sid=${sid}`);
    const timeline = page.getByRole("region", { name: "Timeline" });
    await timeline.getByText("message.undelivered", { exact: true }).waitFor();
  },

  "a picture goes both ways": async ({ world, page }) => {
    await world.own(`/handsets/${PHONE}/messages`, "POST", {
      to: world.env.phone_number,
      body: "look",
      media: [{ content_type: "image/png", data: PIXEL }],
    });
    const media = await until(async () => {
      const list = await world.wire(`/_/api/2010-04-01/Accounts/{A}/Messages.json`);
      const found = list.messages.find(({ num_media }) => num_media === "1");
      const path = `/_/api/2010-04-01/Accounts/{A}/Messages/${found.sid}/Media.json`;
      return (await world.wire(path)).media_list[0];
    });
    const url = `${world.url}${media.uri.replace(/\.json$/, "")}`;
    await world.send({ To: PHONE, Body: "and back", MediaUrl: url });
    await page.goto(world.url);
    const pictures = phone(page).getByRole("img", { name: "Attached" });
    await until(async () => (await pictures.count()) === 2);
    for (const picture of await pictures.all()) {
      await until(() => picture.evaluate((img) => img.complete && img.naturalWidth === 1));
    }
  },

  "WhatsApp buttons and rows are tapped, and ticks turn blue": async ({ world, page }) => {
    const to = `whatsapp:${PHONE}`;
    const from = "whatsapp:+14155238886";
    const { join } = await world.own("/sandbox");
    await world.own(`/handsets/${PHONE}/messages`, "POST", { to: from, body: join });
    const template = async (types) => {
      const login = Buffer.from(`${world.env.account_sid}:${world.env.auth_token}`);
      const response = await fetch(`${world.url}/_/content/v1/Content`, {
        method: "POST",
        headers: {
          Authorization: `Basic ${login.toString("base64")}`,
          "Content-Type": "application/json",
        },
        body: JSON.stringify({ friendly_name: "t", language: "en", types }),
      });
      const made = await response.json();
      assert.ok(response.ok, JSON.stringify(made));
      return made.sid;
    };
    const buttons = await template({
      "twilio/quick-reply": {
        body: "Shall we?",
        actions: [
          { type: "QUICK_REPLY", title: "Yes", id: "yes-1" },
          { type: "QUICK_REPLY", title: "No", id: "no-1" },
        ],
      },
    });
    const rows = await template({
      "twilio/list-picker": {
        body: "Which one?",
        button: "Choose",
        items: [
          { id: "small", item: "Small", description: "a little" },
          { id: "large", item: "Large", description: "a lot" },
        ],
      },
    });
    await world.send({ To: to, From: from, ContentSid: buttons });
    await world.send({ To: to, From: from, ContentSid: rows });
    await page.goto(world.url);
    await phone(page)
      .getByText(/window open, 2[34] h/)
      .waitFor();
    await phone(page).getByRole("button", { name: "Yes" }).click();
    await phone(page).locator(".sent").getByText("Yes").waitFor();
    await phone(page).getByText("Choose").click();
    await phone(page).getByRole("button", { name: "Large" }).click();
    await phone(page).locator(".sent").getByText("Large").waitFor();
    await phone(page).getByRole("button", { name: "two blue ticks" }).click();
    await phone(page).locator(".ticks.read").first().waitFor();
    await screen(page, "whatsapp");
  },

  "an opt-out shows on the phone and in set-up": async ({ world, page }) => {
    await world.send({ To: PHONE, Body: "News!" });
    await page.goto(world.url);
    await phone(page).getByText("News!").waitFor();
    await write(page, "STOP");
    await phone(page).getByText("opted out").waitFor();
    await page.goto(`${world.url}/console/set-up`);
    await page.getByRole("cell", { name: PHONE }).waitFor();
  },

  "what others wrote stays text": async ({ world, page }) => {
    const hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
    const turned = "pay \u202egnp.exe to +1\u0007";
    await world.send({ To: PHONE, Body: hostile });
    await world.send({ To: PHONE, Body: turned });
    await world.send({ To: PHONE, Body: "👩‍👩‍👧‍👦".repeat(60) });
    const many = "👍".repeat(1600);
    await world.own(`/handsets/${PHONE}/messages`, "POST", {
      to: world.env.phone_number,
      body: many,
    });
    await world.own(`/handsets/${PHONE}`, "PUT", { name: "<b>Mallory</b>" });
    for (const path of ["/", "/console/activity", "/console/messages"]) {
      await page.goto(world.url + path);
      await page.getByText("<script>document.title=2</script>").first().waitFor();
      await page.getByText("U+202E").first().waitFor();
      assert.equal(await page.title(), "Offhook");
      assert.equal(await page.locator("main img").count(), 0);
    }
    await page.goto(world.url);
    await page.getByText("<b>Mallory</b>").first().waitFor();
    await phone(page).getByText(many).waitFor();
    const bubbles = await phone(page).getByRole("log").boundingBox();
    const longest = await phone(page).getByText(many).boundingBox();
    assert.ok(longest.width < bubbles.width, "the longest message stays in its phone");
    await screen(page, "hostile");
  },

  "a server that goes away comes back without a gap, in two tabs": async (story) => {
    const { world, page } = story;
    const other = await page.context().newPage();
    await world.send({ To: PHONE, Body: "before" });
    for (const one of [page, other]) {
      await one.goto(world.url);
      await phone(one).getByText("before").waitFor();
    }
    await world.stop();
    await page.getByText("reconnecting").waitFor();
    await world.start();
    await world.send({ To: PHONE, Body: "after" });
    for (const one of [page, other]) await phone(one).getByText("after").waitFor();
  },
};
