// Does with Socket.IO's events and acknowledgements what protoo's requests and responses do. Run with:
// node socketio/server.js PORT
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
// WebSocket only, and no compression, as its documentation on performance advises.
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, httpCompression: false, serveClient: false });
io.on("connection", (socket) => {
  socket.conn.request = null; // its documentation on memory usage advises to drop the first request
  socket.on("message", (request, respond) => respond({ status: 200, reason: "OK", data: request.data }));
});
http.listen(Number(process.argv[2] ?? 8088), "127.0.0.1");
