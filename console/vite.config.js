import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** Every built file beside itself compressed, for the binary to serve as it is. */
const compressed = () => ({
  name: "compressed",
  writeBundle({ dir }) {
    for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || entry.name.endsWith(".gz")) continue;
      const path = join(entry.parentPath, entry.name);
      writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
    }
  },
});

const platform = process.env.OFFHOOK_URL ?? "http://127.0.0.1:4010";

export default defineConfig({
  base: "/console/",
  plugins: [react(), compressed()],
  build: { target: "es2022", modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  // `npm run dev` beside a running platform, which acts for pages of its own origin alone: this
  // server's pages pass as such, other origins stay what they are and are refused.
  server: {
    port: 4011,
    strictPort: true,
    proxy: Object.fromEntries(
      ["/_offhook", "/_/", "/2010-04-01"].map((path) => [
        path,
        {
          target: platform,
          changeOrigin: true,
          ws: true,
          configure: (proxy) => {
            for (const event of ["proxyReq", "proxyReqWs"]) {
              proxy.on(event, (request) => {
                if (request.getHeader("origin") === "http://localhost:4011") {
                  request.setHeader("origin", platform);
                }
              });
            }
          },
        },
      ]),
    ),
  },
});
