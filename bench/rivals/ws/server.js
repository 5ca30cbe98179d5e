// Answers protoo requests with the least that the npm package ws needs for it: no
// router, no peers, no transactions. Run with: node ws/server.js PORT
import { WebSocketServer } from "ws";

// bufferutil, which its documentation advises, is used because it is installed.
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2] ?? 8087), perMessageDeflate: false, clientTracking: false });
server.on("connection", (socket) => {
  socket.on("message", (text) => {
    const request = JSON.parse(text);
    socket.send(JSON.stringify({ status: 200, reason: "OK", id: request.id, data: request.data }));
  });
  socket.on("error", () => {});
});
