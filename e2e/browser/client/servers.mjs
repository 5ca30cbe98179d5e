// Servers for the pages, and ways to them that can be cut.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

const binary = process.env.E2E_SERVER;
assert.ok(binary, 'E2E_SERVER must be the path of a built e2e/server');

/** Starts an e2e/server. */
export async function startServer({ addr = '127.0.0.1:0', grace = '0s' } = {}) {
  const child = spawn(binary, ['-addr', addr, '-grace', grace], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exit = once(child, 'exit');
  const log = [];
  const lines = createInterface(child.stderr).on('line', (line) => log.push(line));
  const ended = new Promise((resolve) => { lines.on('close', resolve); });
  for await (const line of createInterface(child.stdout)) {
    const [, host, hashes] = line.match(/^listening on http:\/\/(\S+) with certificates (.+)$/);
    child.stdout.resume();
    return {
      host,
      hashes: hashes.split(' '),
      async stop(signal = 'SIGKILL') {
        child.kill(signal);
        await exit;
      },
      /** Waits until the log says that a peer's connection has ended, and returns the code and reason. Each is told once. */
      async disconnected(peer) {
        const pattern = new RegExp(`msg=disconnected peer=${peer} code=(\\d+) reason=("(?:[^"\\\\]|\\\\.)*"|\\S*)`);
        for (;;) {
          const at = log.findIndex((entry) => pattern.test(entry));
          if (at >= 0) {
            const [, code, reason] = log.splice(at, 1)[0].match(pattern);
            return [Number(code), reason.startsWith('"') ? JSON.parse(reason) : reason];
          }
          await Promise.race([once(lines, 'line'), ended.then(() => { throw new Error(`the server has ended:\n${log.join('\n')}`); })]);
        }
      },
    };
  }
  throw new Error(`the server ended before it listened:\n${log.join('\n')}`);
}

/** A way to a server, TCP and UDP on one port number. Either can be closed: TCP is cut then, and packets of UDP are lost. */
export async function startLink(host) {
  const [address, port] = host.split(':');
  const pairs = new Set();
  const flows = new Map();
  const closed = { tcp: false, udp: false };
  let packets = 0;

  const tcp = createServer((near) => {
    near.on('error', () => {});
    if (closed.tcp) return near.destroy();
    const far = connect(Number(port), address);
    far.on('error', () => {});
    const pair = [near, far];
    pairs.add(pair);
    for (const socket of pair) {
      socket.on('close', () => {
        for (const each of pair) each.destroy();
        pairs.delete(pair);
      });
    }
    near.pipe(far).pipe(near);
  });
  const udp = await bindBoth(tcp);
  udp.on('message', (packet, from) => {
    packets++;
    if (closed.udp) return;
    const key = `${from.address}:${from.port}`;
    if (!flows.has(key)) {
      const far = createSocket('udp4');
      far.on('message', (answer) => { if (!closed.udp) udp.send(answer, from.port, from.address); });
      far.on('error', () => {}); // nobody listens there
      flows.set(key, far);
    }
    flows.get(key).send(packet, Number(port), address);
  });
  const cut = () => { for (const [near] of pairs) near.destroy(); };
  return {
    host: `127.0.0.1:${tcp.address().port}`,
    /** Datagrams that have come from the browser. */
    packets: () => packets,
    block(which = ['tcp', 'udp']) {
      for (const kind of which) closed[kind] = true;
      if (closed.tcp) cut();
    },
    restore() {
      closed.tcp = closed.udp = false;
    },
    stop() {
      cut();
      tcp.close();
      udp.close();
      for (const far of flows.values()) far.close();
    },
  };
}

/** Has a TCP server listen, and returns a UDP socket at the same port. */
async function bindBoth(tcp) {
  for (let attempt = 1; ; attempt++) {
    tcp.listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const udp = createSocket('udp4');
    udp.bind(tcp.address().port, '127.0.0.1');
    try {
      await once(udp, 'listening');
      return udp;
    } catch (error) {
      udp.close();
      tcp.close();
      await once(tcp, 'close');
      if (attempt === 100) throw error;
    }
  }
}
