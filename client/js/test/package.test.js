import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { settle } from './fake.js';
import { fakeWebTransport } from './fake-webtransport.js';

const root = new URL('../', import.meta.url);
const read = (name) => readFile(new URL(name, root), 'utf8');

test('npm pack takes these files and no others', async () => {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root });
  const [{ name, files }] = JSON.parse(stdout);
  assert.equal(name, 'protoo-go-client');
  assert.deepEqual(files.map((f) => f.path).sort(), ['LICENSE', 'README.md', 'package.json', 'protoo.d.ts', 'protoo.js', 'protoo.min.js']);
});

test('the package exports what its types declare', async () => {
  const exported = Object.keys(await import('protoo-go-client')).sort();
  const declared = [...(await read('protoo.d.ts')).matchAll(/^export (?:function|class|const) (\w+)/gm)];
  assert.deepEqual(exported, declared.map((match) => match[1]).sort());
});

test('protoo.js stands alone', async () => {
  assert.doesNotMatch(await read('protoo.js'), /\bimport\b|\brequire\b|\bprocess\b/);
});

test('protoo.min.js is what the build makes of protoo.js', async () => {
  const { stdout } = await promisify(execFile)('npm', ['run', '--silent', 'minify'], { cwd: root });
  assert.equal(await read('protoo.min.js'), stdout, 'run npm run build');
  const minified = await import('protoo-go-client/min');
  assert.deepEqual(Object.keys(minified).sort(), Object.keys(await import('protoo-go-client')).sort());
  const { WebTransport, sessions } = fakeWebTransport();
  const peer = minified.connect('https://server.test/protoo', { WebTransport, WebSocket: class {} });
  await settle();
  sessions[0].accept();
  await peer.ready;
  const response = peer.request('message', '/echo', 'ü');
  await settle();
  const { id, data } = JSON.parse(sessions[0].written.toString().replace(/^[^{]*/, ''));
  const answer = Buffer.from(JSON.stringify({ status: 200, reason: 'OK', id, data }));
  sessions[0].receive([1, answer.length], answer);
  assert.deepEqual(await response, { status: 200, reason: 'OK', data: 'ü' });
  peer.close();
  await settle();
  sessions[0].fail();
});

test('protoo.min.js stays within 5.7 KB gzip', async () => {
  const size = gzipSync(await read('protoo.min.js'), { level: 9 }).length;
  assert.ok(size <= 5700, `${size} bytes`);
});

test('the lock file names no registry, and what it pins is what package.json asks for', async () => {
  const { packages } = JSON.parse(await read('package-lock.json'));
  const { devDependencies } = JSON.parse(await read('package.json'));
  for (const [path, { version, resolved }] of Object.entries(packages)) {
    assert.equal(resolved, undefined, `${path} is tied to a host`);
    const wanted = devDependencies[path.replace('node_modules/', '')];
    if (wanted) assert.equal(version, wanted, `${path} is pinned`);
  }
});
