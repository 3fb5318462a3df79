import WebSocket from "ws";

const socket = new WebSocket("wss://tsock.us1.twilio.com/v3/wsconnect");
socket.on("open", () => {
  console.log("reached 101");
  socket.close();
});
socket.on("unexpected-response", (request, response) => {
  console.log("reached", response.statusCode, response.statusMessage);
  request.destroy();
});
