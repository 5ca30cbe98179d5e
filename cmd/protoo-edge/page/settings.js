// What can be chosen, and where: the settings dialog.
import { byId, setProblem } from './dom.js';
import { browser } from './storage.js';

export class Settings {
  iceServers = [];
  sound = true;

  constructor() {
    const { ice = '', sound = true } = browser.get('settings') ?? {};
    this.#set(ice, sound);
    const dialog = byId('settings');
    // Every opening begins with what holds.
    dialog.addEventListener('opening', () => {
      const kept = browser.get('settings') ?? {};
      byId('ice').value = kept.ice ?? '';
      byId('sound').checked = this.sound;
      this.#showProblem('');
    });
    byId('settings-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const ice = byId('ice').value.trim();
      const problem = this.#set(ice, byId('sound').checked);
      this.#showProblem(problem);
      if (problem) return byId('ice').focus();
      browser.set('settings', { ice, sound: this.sound });
      dialog.close();
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
