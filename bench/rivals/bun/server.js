// Answers protoo requests with the least that Bun needs for it: no router, no
// peers, no transactions. Run with: bun server.js PORT
Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2] ?? 8082),
  fetch(request, server) {
    if (server.upgrade(request)) return;
    return new Response("WebSocket only", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    message(ws, text) {
      const request = JSON.parse(text);
      ws.send(JSON.stringify({ status: 200, reason: "OK", id: request.id, data: request.data }));
    },
  },
});
