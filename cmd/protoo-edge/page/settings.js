// What can be chosen, and where: the settings dialog.
import { byId, setProblem, setText } from './dom.js';
import { browser } from './storage.js';

const TRANSPORTS = ['auto', 'webtransport', 'websocket'];

/** Events: `transport` when that has changed. */
export class Settings extends EventTarget {
  iceServers = [];
  sound = true;
  transport = 'auto';

  constructor() {
    super();
    const { ice = '', sound = true, transport } = browser.get('settings') ?? {};
    this.#set(ice, sound);
    this.transport = usable(transport);
    const dialog = byId('settings');
    byId('transport').querySelector('[value=webtransport]').disabled = !hasWebTransport;
    setText(byId('transport-hint'), hasWebTransport
      ? 'Automatic is WebTransport, and WebSocket where that does not come through. A change connects again, which ends a call.'
      : 'This browser has no WebTransport.');
    // Every opening begins with what holds.
    dialog.addEventListener('opening', () => {
      const kept = browser.get('settings') ?? {};
      byId('ice').value = kept.ice ?? '';
      byId('sound').checked = this.sound;
      byId('transport').value = this.transport;
      this.#showProblem('');
    });
    byId('settings-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const ice = byId('ice').value.trim();
      const problem = this.#set(ice, byId('sound').checked);
      this.#showProblem(problem);
      if (problem) return byId('ice').focus();
      const before = this.transport;
      this.transport = byId('transport').value;
      browser.set('settings', { ice, sound: this.sound, transport: this.transport });
      dialog.close();
      if (this.transport !== before) this.dispatchEvent(new Event('transport'));
    });
  }

  /** Returns what is wrong, in which case nothing changes. */
  #set(ice, sound) {
    try {
      this.iceServers = parseIceServers(ice);
    } catch (error) {
      return error.message;
    }
    this.sound = sound;
    return '';
  }

  #showProblem(text) {
    setProblem(byId('ice-problem'), text, byId('ice'));
  }
}

const hasWebTransport = 'WebTransport' in globalThis;

/** A transport that was chosen once may be none that this browser has. */
function usable(transport) {
  return TRANSPORTS.includes(transport) && (transport !== 'webtransport' || hasWebTransport) ? transport : 'auto';
}

function parseIceServers(text) {
  return text.split('\n').map((line) => line.trim()).filter(Boolean).map((line) => {
    const [urls, username, credential, ...rest] = line.split(/\s+/);
    const turn = /^turns?:\S+$/.test(urls);
    if (!turn && !/^stuns?:\S+$/.test(urls)) throw new Error(`${urls} is neither a stun: nor a turn: URL.`);
    if (turn ? !credential || rest.length : username) {
      throw new Error(turn ? `${urls} needs a user name and a password.` : `What follows ${urls} is too much.`);
    }
    const server = turn ? { urls, username, credential } : { urls };
    try {
      new RTCPeerConnection({ iceServers: [server] }).close();
    } catch {
      throw new Error(`${urls} is no good URL.`);
    }
    return server;
  });
}
