// Answers requests with the npm package protoo-server 4, today's Node protoo, whose messages are others than ours.
// Run with: node protoo-server/server.js PORT
import { createServer } from "node:http";
import protoo from "protoo-server";

const http = createServer();
const room = new protoo.Room();
const server = new protoo.WebSocketServer(http, { maxReceivedFrameSize: 65536, maxReceivedMessageSize: 65536, fragmentOutgoingMessages: false });
let peers = 0;
server.on("connectionrequest", (info, accept) => {
  const peer = room.createPeer(`peer${++peers}`, accept());
  peer.on("request", (request, respond) => respond(request.data));
});
http.listen(Number(process.argv[2] ?? 8089), "127.0.0.1");
