import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const binary = process.env.PROTOO_EDGE;
assert.ok(binary, 'PROTOO_EDGE must be the path of a built protoo-edge');

/** Starts a protoo-edge and waits until it listens. */
export async function serve({ addr = '127.0.0.1:0', grace = '2s' } = {}) {
  const child = spawn(binary, ['serve', '--addr', addr, '--grace', grace], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exit = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGKILL');
    await exit;
  };
  for await (const line of createInterface(child.stdout)) {
    const host = line.match(/listening on http:\/\/(\S+)/)?.[1];
    if (!host) continue;
    child.stdout.resume();
    return { host, url: `http://${host}`, stop, interrupt: () => child.kill('SIGINT') };
  }
  throw new Error('protoo-edge ended before it listened');
}
