// An HTTP proxy whose CONNECT ends TLS here and forwards to one instance, Host header kept.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import path from "node:path";

/** Makes a certificate for *.twilio.com in `folder`, and starts the proxy. */
export async function startProxy(instance, folder) {
  const [key, cert] = [path.join(folder, "key.pem"), path.join(folder, "cert.pem")];
  execFileSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"],
      ...["-keyout", key, "-out", cert, "-subj", "/CN=twilio.com"],
      ...["-addext", "subjectAltName=DNS:twilio.com,DNS:*.twilio.com"],
    ],
    { stdio: "ignore" },
  );
  const target = new URL(instance);
  const inner = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    const { method, url, headers } = request;
    const options = { host: target.hostname, port: target.port, method, path: url, headers };
    const forwarded = http.request(options, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    forwarded.on("error", () => response.writeHead(502).end());
    request.pipe(forwarded);
  });
  let connects = 0;
  const proxy = http.createServer((_, response) => response.writeHead(405).end());
  proxy.on("connect", (request, socket) => {
    if (!/^[a-z0-9.-]+\.twilio\.com:443$/.test(request.url)) {
      socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
      return;
    }
    connects += 1;
    socket.on("error", () => socket.destroy());
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    inner.emit("connection", socket);
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${proxy.address().port}`, cert, connects: () => connects };
}
