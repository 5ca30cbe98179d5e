// One call: its signalling through the server, and its connection to the other device.
import { ProtooError } from '/protoo.js';
import { explain } from './chat.js';
import { closeMedia, openMedia } from './media.js';

const MAX_CANDIDATES = 200;
const MAX_TEXT = 4000;
const PING_INTERVAL = 2000;

export const KINDS = ['video', 'audio', 'text'];

/**
 * Its `state` is, for who calls, `preparing` (the camera), `calling`, `ringing`; for who is called, `incoming`; for both
 * then `connecting`, `connected` and `ended`. Events: `state`, `change` (anything else that is to be seen) and `text`.
 */
export class Call extends EventTarget {
  state;
  outgoing;
  kind;
  other; // { username, uuid }
  path; // of the session, once it is known
  problem = ''; // with the camera and microphone of this side
  ending = ''; // why it has ended
  local; // MediaStream, if there is one
  remote = new MediaStream();
  theirs = { audio: true, video: true }; // what they have not turned off
  muted = false;
  cameraOff = false;
  unstable = false;
  ping; // milliseconds there and back
  connectedAt;
  endedAt;
  connection; // RTCPeerConnection

  #peer;
  #channel;
  #pinging;
  #candidates = 0;
  #unsent = []; // requests that wait for the path
  #described; // a promise: the other side's description has been taken
  #describe;
  #answer; // to the session request of the other side: { resolve, reject }

  constructor(peer, { other, kind, outgoing, iceServers }) {
    super();
    this.#peer = peer;
    this.other = other;
    this.kind = kind;
    this.outgoing = outgoing;
    this.state = outgoing ? 'preparing' : 'incoming';
    this.#described = new Promise((resolve) => { this.#describe = resolve; });
    this.#connect(iceServers);
  }

  get over() {
    return this.state === 'ended';
  }

  /** Sent and not answered: the other side may be calling as well. */
  get pending() {
    return this.state === 'calling' || this.state === 'ringing';
  }

  /** Calls the device. */
  async start() {
    const { username, uuid } = this.other;
    try {
      await this.#openMedia(this.kind);
      if (this.over) return;
      this.#receiveMedia();
      await this.connection.setLocalDescription();
      if (this.over) return;
      this.#enter('calling');
      const { data } = await this.#peer.request(
        'session',
        `/sessions/${encodeURIComponent(username)}/${encodeURIComponent(uuid)}`,
        { kind: this.kind, offer: this.connection.localDescription },
        { onProvisional: (response) => this.#progress(response) },
      );
      if (this.over) return;
      this.#enter('connecting');
      await this.connection.setRemoteDescription(data.answer);
      this.#describe();
    } catch (error) {
      if (this.over) return;
      // Of what went wrong on this side the server does not know.
      if (!(error instanceof ProtooError) || error.local) this.#tellEnd('failed');
      this.#end(this.#failure(error));
    }
  }

  /** Takes the offer of a call that comes in. The promise is that of the answer, for the session request. */
  ring(req) {
    this.path = req.path;
    const answer = new Promise((resolve, reject) => { this.#answer = { resolve, reject }; });
    this.connection.setRemoteDescription(req.data.offer).then(() => {
      this.#describe();
      if (!this.over) req.reply(180, 'ringing');
    }, () => {
      this.#answer.reject(new ProtooError(488, 'offer not acceptable'));
      this.#end('the offer makes no sense');
    });
    return answer;
  }

  async accept({ camera = true } = {}) {
    if (this.state !== 'incoming') return;
    this.#enter('connecting');
    try {
      await this.#openMedia(this.kind === 'video' && !camera ? 'audio' : this.kind);
      await this.#described;
      if (this.over) return;
      await this.connection.setLocalDescription();
      this.#answer.resolve({ answer: this.connection.localDescription });
    } catch (error) {
      this.#answer.reject(new ProtooError(500, 'cannot answer'));
      this.#end(this.#failure(error));
    }
  }

  decline() {
    if (this.state !== 'incoming') return;
    this.#answer.reject(new ProtooError(603, 'declined'));
    this.#end('declined');
  }

  /** Ends it, in whatever state it is. */
  hangUp(reason = this.pending || this.state === 'preparing' ? 'canceled' : 'hung up') {
    if (this.over) return;
    this.#sendDirectly({ type: 'bye' }); // in case that the server is gone
    this.#tellEnd(reason);
    this.#end(reason);
  }

  /** Ends a call that is being set up if the server does not know of it any more. */
  async check() {
    if (!this.path || this.connectedAt) return;
    try {
      await this.#peer.request('ping', this.path);
    } catch (error) {
      if (!(error instanceof ProtooError)) throw error;
      if (error.status === 404 && !this.connectedAt) this.#end('the server has lost the call');
    }
  }

  /** The other side, or the server, has ended the session. */
  ended(data) {
    if (this.over) return;
    const { username } = this.other;
    const offline = data?.reason === 'peer offline';
    const reason = offline ? `${username} went offline`
      : this.state === 'incoming' ? 'missed'
      : `${username} hung up`;
    this.#end(reason);
  }

  candidate(candidate) {
    if (++this.#candidates > MAX_CANDIDATES) throw new ProtooError(429, 'too many candidates');
    // Those that come before the description wait for it, in order.
    this.#described.then(() => this.over || this.connection.addIceCandidate(candidate)).catch(() => {});
  }

  setMuted(muted) {
    this.muted = muted;
    this.#enable('audio', !muted);
  }

  setCameraOff(off) {
    this.cameraOff = off;
    this.#enable('video', !off);
  }

  /** Sends a text over the direct channel. False: it is not open. */
  sendText(text) {
    return this.#sendDirectly({ type: 'text', text });
  }

  #connect(iceServers) {
    const connection = this.connection = new RTCPeerConnection({ iceServers });
    connection.onicecandidate = ({ candidate }) => {
      if (candidate) this.#tell('candidate', candidate);
    };
    connection.ontrack = ({ track }) => {
      this.remote.addTrack(track);
      this.#changed();
    };
    connection.onconnectionstatechange = () => {
      const { connectionState } = connection;
      this.unstable = connectionState === 'disconnected';
      if (connectionState === 'connected') this.#connected();
      else if (connectionState === 'failed') this.#fail();
      else this.#changed();
    };
    // Agreed beforehand on both sides, so that every call has one without asking for it.
    this.#channel = connection.createDataChannel('direct', { negotiated: true, id: 0 });
    this.#channel.onopen = () => {
      this.#tellMedia();
      this.#sendPing();
      this.#pinging = setInterval(() => this.#sendPing(), PING_INTERVAL);
      this.#changed();
    };
    this.#channel.onmessage = ({ data }) => this.#receiveDirectly(data);
  }

  async #openMedia(kind) {
    const { stream, problem } = await openMedia(kind);
    this.problem = problem;
    if (this.over) return closeMedia(stream);
    this.local = stream;
    for (const track of stream?.getTracks() ?? []) this.connection.addTrack(track, stream);
    this.#changed();
  }

  /** Asks for what this side cannot send itself but would like to see and hear. */
  #receiveMedia() {
    const kinds = { video: ['audio', 'video'], audio: ['audio'], text: [] };
    for (const kind of kinds[this.kind]) {
      const has = this.local?.getTracks().some((track) => track.kind === kind);
      if (!has) this.connection.addTransceiver(kind, { direction: 'recvonly' });
    }
  }

  #progress({ status, data }) {
    if (data?.sessionPath) {
      this.path = data.sessionPath;
      for (const [method, value] of this.#unsent.splice(0)) this.#tell(method, value);
    }
    if (status === 180 && !this.over) this.#enter('ringing');
  }

  /** Sends a request to the other side, when the path is known. Nobody can do anything if it fails. */
  #tell(method, data) {
    if (!this.path) return void this.#unsent.push([method, data]);
    this.#peer.request(method, this.path, data).catch((error) => {
      if (!(error instanceof ProtooError)) throw error;
    });
  }

  #tellEnd(reason) {
    if (this.state === 'preparing') return; // nobody knows of it
    this.#unsent = [];
    this.#tell('end', { reason });
  }

  #connected() {
    if (this.over) return;
    if (this.connectedAt) return this.#changed();
    this.connectedAt = Date.now();
    this.#enter('connected');
  }

  #fail() {
    if (this.over) return;
    this.#tellEnd('connection failed');
    this.#end(this.connectedAt ? 'the connection was lost' : 'no way to connect');
  }

  #failure(error) {
    if (!(error instanceof ProtooError)) return error.message;
    switch (error.status) {
      case 486: return 'busy';
      case 487: return 'canceled';
      case 603: return 'declined';
      default: return explain(error, this.other.username, this.other.uuid);
    }
  }

  #end(reason) {
    if (this.over) return;
    this.#answer?.reject(new ProtooError(487, 'canceled')); // unless it has been given
    this.ending = reason;
    this.endedAt = Date.now();
    clearInterval(this.#pinging);
    closeMedia(this.local);
    this.connection.close();
    this.#enter('ended');
  }

  #enable(kind, enabled) {
    for (const track of this.local?.getTracks() ?? []) if (track.kind === kind) track.enabled = enabled;
    this.#tellMedia();
    this.#changed();
  }

  #has(kind) {
    return this.local?.getTracks().some((track) => track.kind === kind && track.enabled) ?? false;
  }

  #tellMedia() {
    this.#sendDirectly({ type: 'media', audio: this.#has('audio'), video: this.#has('video') });
  }

  #sendPing() {
    this.#sendDirectly({ type: 'ping', at: performance.now() });
  }

  #sendDirectly(message) {
    if (this.#channel.readyState !== 'open') return false;
    this.#channel.send(JSON.stringify(message));
    return true;
  }

  #receiveDirectly(data) {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    switch (message?.type) {
      case 'ping':
        this.#sendDirectly({ type: 'pong', at: message.at });
        break;
      case 'pong':
        if (typeof message.at !== 'number') break;
        this.ping = Math.max(0, performance.now() - message.at);
        this.#changed();
        break;
      case 'media':
        this.theirs = { audio: message.audio === true, video: message.video === true };
        this.#changed();
        break;
      case 'text':
        this.dispatchEvent(Object.assign(new Event('text'), { text: String(message.text).slice(0, MAX_TEXT) }));
        break;
      case 'bye':
        this.ended();
    }
  }

  #enter(state) {
    this.state = state;
    this.dispatchEvent(new Event('state'));
  }

  #changed() {
    if (!this.over) this.dispatchEvent(new Event('change'));
  }
}
