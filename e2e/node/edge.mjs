// Starts protoo-edge and connects clients to it, with the package ws and
// nothing of ours: what is tested is what others would see.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';

const binary = process.env.PROTOO_EDGE;
assert.ok(binary, 'PROTOO_EDGE must be the path of a built protoo-edge');

/** A protoo-edge process. `logged` waits for a line of its log that contains a text. */
export async function serve(test, ...flags) {
  const child = spawn(binary, ['serve', '--addr', '127.0.0.1:0', '--log-level', 'debug', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exit = once(child, 'exit');
  test.after(() => child.kill('SIGKILL'));
  const log = queue();
  createInterface(child.stderr).on('line', log.put);
  const logged = async (text) => {
    for (;;) if ((await log.take()).includes(text)) return;
  };
  for await (const line of createInterface(child.stdout)) {
    const found = line.match(/listening on http:\/\/(127\.0\.0\.1:\d+)/);
    if (found) {
      child.stdout.resume();
      return { url: `ws://${found[1]}`, logged, kill: (signal) => child.kill(signal), exit };
    }
  }
  throw new Error('protoo-edge ended before it listened');
}

/** Runs `protoo-edge call` with what is written to its standard input. */
export function call(test, ...args) {
  const child = spawn(binary, ['call', ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  test.after(() => child.kill('SIGKILL'));
  const lines = queue();
  createInterface(child.stdout).on('line', lines.put);
  let errors = '';
  child.stderr.on('data', (text) => (errors += text));
  return {
    line: lines.take,
    write: (text) => child.stdin.write(text),
    end: () => child.stdin.end(),
    exit: once(child, 'close').then(([code]) => ({ code, errors, lines: lines.rest() })),
  };
}

/** A connected client: one queue for the requests it gets, and one for the responses. */
export class Peer {
  static async connect(test, edge, username, uuid) {
    const query = new URLSearchParams({ username, uuid });
    const peer = new Peer(new WebSocket(`${edge.url}/protoo?${query}`, 'protoo'));
    test.after(() => peer.socket.terminate());
    await once(peer.socket, 'open');
    // The handshake ends before the peer is online.
    peer.socket.send('{"method":"message","path":"/echo","id":"online?"}');
    assert.deepEqual(await peer.response(), { status: 200, reason: 'OK', id: 'online?' });
    return peer;
  }

  #requests = queue();
  #responses = queue();
  #id = 0;

  constructor(socket) {
    this.socket = socket;
    this.closed = once(socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
    socket.on('message', (text) => {
      const message = JSON.parse(text);
      (message.method ? this.#requests : this.#responses).put(message);
    });
  }

  /** Sends a request and returns its id. */
  send(method, path, data) {
    const id = String(++this.#id);
    this.socket.send(JSON.stringify({ method, path, id, data }));
    return id;
  }

  reply(request, status, reason, data) {
    this.socket.send(JSON.stringify({ status, reason, id: request.id, data }));
  }

  request() {
    return this.#requests.take();
  }

  response() {
    return this.#responses.take();
  }
}

function queue() {
  const items = [];
  const takers = [];
  return {
    put: (item) => (takers.length ? takers.shift()(item) : items.push(item)),
    take: () => (items.length ? Promise.resolve(items.shift()) : new Promise((resolve) => takers.push(resolve))),
    rest: () => items.splice(0),
  };
}
