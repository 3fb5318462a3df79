// The stories of the console in a real browser: `cargo xtask test browser`.
// `node console/tests/run.mjs WORD` runs those whose name has the word.

import { strict as assert } from "node:assert";
import { stories as accessible } from "./accessible.mjs";
import { stories as activity } from "./activity.mjs";
import { stories as calls } from "./calls.mjs";
import { stories as passkeys } from "./passkeys.mjs";
import { stories as phones } from "./phones.mjs";
import { stories as resources } from "./resources.mjs";
import { stories as roles } from "./roles.mjs";
import { stories as serving } from "./serving.mjs";
import { stories as sound } from "./sound.mjs";
import { browser, platform, program, screen, tab } from "./support.mjs";
import { stories as telephone } from "./telephone.mjs";
import { stories as websip } from "./websip.mjs";

const wanted = process.argv[2] ?? "";
const all = {
  ...serving,
  ...roles,
  ...phones,
  ...telephone,
  ...sound,
  ...calls,
  ...websip,
  ...activity,
  ...resources,
  ...accessible,
  ...passkeys,
};
const chrome = await browser();
let passed = 0;
let failed = 0;
for (const [name, story] of Object.entries(all)) {
  if (!name.includes(wanted)) continue;
  const world = await platform();
  const app = await program();
  const page = await tab(chrome, world.url);
  const started = Date.now();
  try {
    await story({ world, app, page, chrome });
    assert.deepEqual(page.faults, [], "the page complained");
    assert.deepEqual(page.foreign, [], "the page asked others");
    passed += 1;
    console.log(`ok    ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n${error.stack}\n${page.faults.join("\n")}`);
    await screen(page, `failed-${name.replaceAll(/\W+/g, "-")}`).catch(() => {});
  }
  await page.context().close();
  await app.end();
  await world.end();
}
await chrome.close();
console.log(`browser stories: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
