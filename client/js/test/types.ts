// What the declarations must accept and refuse. Only compiled, by npm run types.
import { connect, ProtooError, websocket, webtransport, type Connection, type Peer, type Transport } from 'protoo-go-client';

const peer: Peer = connect(new URL('https://example.com'), {
  username: 'alice', uuid: 'phone', token: async () => 'fresh', transports: [websocket],
  reconnect: { base: 1 }, signal: AbortSignal.timeout(1),
});
connect('/protoo', { WebSocket: globalThis.WebSocket, token: 'fixed', reconnect: false });
connect('/protoo', {
  transport: 'webtransport', transports: [webtransport, websocket], datagrams: true, maxReceived: 1 << 16,
  serverCertificateHashes: async () => [{ algorithm: 'sha-256', value: new Uint8Array(32) }],
});
connect('/protoo', { transport: 'auto', serverCertificateHashes: [{ algorithm: 'sha-256', value: new ArrayBuffer(32) }] });
const over: string | undefined = peer.transport;
const given: boolean = peer.datagram('cursor', '/rooms/1', { over });
if (!given) peer.close(3000, 'given up');

const browserSocket: Connection = new WebSocket('ws://example.com');
const own: Transport = (url) => new WebSocket(url);
connect('/protoo', { transports: [own, () => browserSocket] });

const { data } = await peer.request<{ sessionPath: string }>('session', '/users/bob/phone', { offer: '' }, {
  timeout: Infinity, signal: new AbortController().signal, onProvisional: ({ status }) => status.toFixed(),
});
data.sessionPath.length;

const remove: () => void = peer.handle('*', '/users/:username/*', async (req) => {
  req.params.username?.length;
  req.signal.throwIfAborted();
  const sent: boolean = req.reply(180, 'ringing', { any: 'thing' });
  if (!sent) throw new ProtooError(603, 'declined');
  return req.data;
}, { signal: AbortSignal.timeout(1) });
remove();

peer.addEventListener('close', (event) => { event.code.toFixed(); event.reason.length; event.timeStamp.toFixed(); });
peer.addEventListener('reconnecting', function ({ attempt, delay }) { this.close(3000 + attempt, `${delay}`); }, { once: true });
peer.addEventListener('error', (event) => { if (event.error instanceof ProtooError) event.preventDefault(); });

// @ts-expect-error no such event
peer.addEventListener('opened', () => {});
// @ts-expect-error open has no code
peer.addEventListener('open', (event) => event.code);
// @ts-expect-error read-only
peer.state = 'open';
// @ts-expect-error a path is missing
peer.request('message');
// @ts-expect-error a number
peer.request('message', '/', undefined, { timeout: '10' });
// @ts-expect-error no such transport
connect('/protoo', { transport: 'quic' });
// @ts-expect-error the algorithm is missing
connect('/protoo', { serverCertificateHashes: [new Uint8Array(32)] });
// @ts-expect-error no such option
connect('/protoo', { user: 'alice' });
// @ts-expect-error peers come from connect
new Peer('/protoo');
