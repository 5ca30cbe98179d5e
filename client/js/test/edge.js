import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { connect as dial, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** The path of a protoo-edge binary: that of PROTOO_EDGE, or a new one. */
export async function buildEdge() {
  if (process.env.PROTOO_EDGE) return process.env.PROTOO_EDGE;
  const dir = await mkdtemp(join(tmpdir(), 'protoo-edge-'));
  process.on('exit', () => rmSync(dir, { recursive: true }));
  await promisify(execFile)('go', ['build', '-o', dir, './cmd/protoo-edge'], { cwd: repository });
  return join(dir, 'protoo-edge');
}

/**
 * Starts a protoo-edge; `host` is its address and port, `disconnected(peer)` waits until the server
 * has noticed that the peer has no connection, from when on it holds what is sent to it.
 */
export async function startEdge(t, binary, { grace = '30s', addr = '127.0.0.1:0' } = {}) {
  const flags = ['--addr', addr, '--grace', grace, '--log-level', 'debug'];
  const child = spawn(binary, ['serve', ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
  const log = [];
  const lines = createInterface(child.stderr).on('line', (line) => log.push(line));
  const disconnected = async (peer) => {
    const expected = `msg=disconnected peer=${peer}`;
    while (!log.some((line) => line.includes(expected))) await once(lines, 'line');
  };
  const exit = once(child, 'exit');
  const stop = async (/** @type {NodeJS.Signals} */ signal = 'SIGKILL') => {
    child.kill(signal);
    await exit;
  };
  t.after(() => stop());
  for await (const line of createInterface(child.stdout)) {
    const host = line.match(/listening on http:\/\/(\S+)/)?.[1];
    if (host) {
      child.stdout.resume();
      return { host, url: `ws://${host}/protoo`, stop, disconnected };
    }
  }
  throw new Error(`protoo-edge ended before it listened: ${log.join('\n')}`);
}

/** A way to the server that can be cut at any moment, as a network would: without a word. */
export async function startProxy(t, host) {
  const [address, port] = host.split(':');
  const pairs = new Set();
  let blocked = false;
  const server = createServer((near) => {
    if (blocked) return near.destroy();
    const far = dial(Number(port), address);
    const pair = [near, far];
    pairs.add(pair);
    for (const socket of pair) {
      socket.on('error', () => {});
      socket.on('close', () => {
        near.destroy();
        far.destroy();
        pairs.delete(pair);
      });
    }
    near.pipe(far).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const [near] of pairs) near.destroy();
  };
  t.after(() => {
    cut();
    server.close();
  });
  return {
    host: `127.0.0.1:${/** @type {any} */ (server.address()).port}`,
    /** Cuts, and refuses connections until `restore`. */
    async block() {
      blocked = true;
      cut();
    },
    async restore() {
      blocked = false;
    },
  };
}
