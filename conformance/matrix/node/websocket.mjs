import { subscribe } from "node:diagnostics_channel";

// The global WebSocket tells no status; the HTTP client under it does.
subscribe("undici:request:headers", ({ response }) => {
  console.log("reached", response.statusCode);
  process.exit(0);
});
const socket = new WebSocket("wss://tsock.us1.twilio.com/v3/wsconnect");
socket.addEventListener("error", (event) => {
  console.error(event.error ?? event.message);
  process.exitCode = 1;
});
