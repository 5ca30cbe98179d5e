// The client against the real server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { suite, test } from 'node:test';
import { promisify } from 'node:util';
import { WebSocket as WS } from 'ws';
import { buildEdge, startEdge, startProxy } from './edge.js';
import { scenarios } from './scenarios.js';

assert.equal(typeof globalThis.WebSocket, 'function', 'run this through npm test');

const binary = await buildEdge();

test('the first example of the README', async (t) => {
  const { url } = await startEdge(t, binary);
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  const [, example] = /** @type {RegExpMatchArray} */ (readme.match(/```js\n(.*?)```/s));
  const expected = [...example.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map((match) => match[1] + '\n').join('');
  assert.notEqual(expected, '');
  const program = new URL('readme-example.mjs', import.meta.url);
  t.after(() => rm(program));
  await writeFile(program, example.replace(/ws:[^']*/, url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--experimental-websocket', program.pathname], { timeout: 8000 });
  assert.equal(stdout, expected);
});

for (const [name, WebSocket] of Object.entries({ ws: WS, global: globalThis.WebSocket })) {
  suite(`protoo-edge with ${name}`, { timeout: 60_000 }, () => {
    for (const [title, run] of Object.entries(scenarios)) {
      test(title, (t) => run({
        assert,
        options: { WebSocket },
        patience: 0,
        start: (options) => startEdge(t, binary, options),
        link: (host) => startProxy(t, host),
        after: (fn) => t.after(fn),
      }));
    }
  });
}
