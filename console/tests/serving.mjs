import { strict as assert } from "node:assert";
import { get } from "node:http";

const BUDGET = 300_000;

/** The raw answer, as it goes over the wire. */
const raw = (url, headers = {}) =>
  new Promise((done, fail) => {
    get(url, { headers }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => {
        const { headers, statusCode } = response;
        done({ headers, statusCode, body: Buffer.concat(chunks) });
      });
    }).on("error", fail);
  });

export const stories = {
  "the first load is small and needs nobody else": async ({ world, page }) => {
    let bytes = 0;
    page.on("response", (response) => {
      bytes += Number(response.headers()["content-length"] ?? 0);
    });
    await page.goto(world.url);
    await page.getByText("No phone has rung yet").waitFor();
    const paint = await page.evaluate(
      () => performance.getEntriesByName("first-contentful-paint")[0].startTime,
    );
    assert.ok(paint < 1000, `the first paint took ${paint} ms`);
    assert.ok(bytes > 50_000 && bytes < BUDGET, `${bytes} bytes`);
  },

  "paths that are no view keep their errors": async ({ world }) => {
    for (const path of ["/nothing", "/console/x.js", "/console/assets/none", "/_offhook/v1/x"]) {
      const response = await fetch(world.url + path);
      assert.equal(response.status, 404, path);
      assert.equal((await response.json()).code, 20404, path);
    }
    for (const path of ["/", "/console", "/console/", "/console/activity?sid=x"]) {
      const { headers, statusCode } = await raw(world.url + path);
      assert.equal(statusCode, 200, path);
      assert.match(headers["content-security-policy"], /default-src 'none'/, path);
      assert.equal(headers["x-frame-options"], "DENY", path);
      assert.equal(headers["cache-control"], "no-cache", path);
    }
  },

  "the console is at its own path, too": async ({ world, page }) => {
    for (const path of ["/console", "/console/"]) {
      await page.goto(world.url + path);
      await page.getByText("No phone has rung yet").waitFor();
    }
  },

  "hashed files are kept and compressed": async ({ world }) => {
    const page = (await raw(world.url)).body.toString();
    const script = /\/console\/assets\/[^"]+\.js/.exec(page)[0];
    const plain = await raw(world.url + script);
    const packed = await raw(world.url + script, { "accept-encoding": "gzip" });
    assert.match(plain.headers["cache-control"], /immutable/);
    assert.equal(plain.headers["content-encoding"], undefined);
    assert.equal(packed.headers["content-encoding"], "gzip");
    assert.ok(packed.body.length < plain.body.length);
  },

  "foreign pages and foreign names may not act": async ({ world }) => {
    const path = `${world.url}/_offhook/v1/clock`;
    const { statusCode } = await raw(path, { Origin: "http://evil.example" });
    assert.equal(statusCode, 403);
    assert.equal((await raw(path, { Host: "rebound.example" })).statusCode, 403);
    // Nor listen.
    const upgrade = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
      Origin: "http://evil.example",
    };
    const socket = await raw(`${world.url}/_offhook/v1/events/socket`, upgrade);
    assert.equal(socket.statusCode, 403);
  },
};
