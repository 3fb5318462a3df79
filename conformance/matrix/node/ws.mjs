import WebSocket from "ws";

const socket = new WebSocket("wss://tsock.us1.twilio.com/v3/wsconnect");
socket.on("open", () => {
  console.log("reached 101");
  socket.close();
});
socket.on("unexpected-response", async (request, response) => {
  const body = (await response.toArray()).join("");
  console.log("reached", response.statusCode, body.slice(0, 60));
  request.destroy();
});
