// Whether the page is online, why not, and what to do about it.
import { announce, byId, setText } from './dom.js';

const NAMES = {
  off: 'Offline', connecting: 'Connecting', online: 'Online', reconnecting: 'Reconnecting', replaced: 'Online elsewhere', closed: 'Disconnected',
};

export class StatusView {
  #connection;
  #countdown;
  #wasOnline = false;

  constructor(connection) {
    this.#connection = connection;
    connection.addEventListener('state', () => this.#show());
    byId('banner-action').onclick = () => {
      connection.open(connection.identity);
      byId('app').focus();
    };
  }

  #show() {
    const { state } = this.#connection;
    if (state === 'online') this.#wasOnline = true;
    if (state === 'off') this.#wasOnline = false;
    byId('status').dataset.state = state;
    setText(byId('status-text'), NAMES[state]);
    setText(byId('status-transport'), this.#connection.transport ?? '');

    const [title, action] = this.#describe();
    byId('banner').hidden = !title;
    byId('banner').dataset.state = state;
    if (title && title !== byId('banner-title').textContent) announce(title);
    setText(byId('banner-title'), title);
    byId('banner-action').hidden = !action;
    setText(byId('banner-action'), action);
    clearInterval(this.#countdown);
    if (state === 'reconnecting') this.#countdown = setInterval(() => this.#showDetail(), 250);
    this.#showDetail();
  }

  #describe() {
    switch (this.#connection.state) {
      case 'reconnecting':
        if (!this.#wasOnline) return ['The server cannot be reached.', ''];
        return [this.#connection.serverGone ? 'The server is gone.' : 'The connection was lost.', ''];
      case 'replaced': return ['You are online in another window.', 'Use here'];
      case 'closed': return ['The server has closed the connection.', 'Connect again'];
      default: return ['', ''];
    }
  }

  #showDetail() {
    const { state, loss, identity } = this.#connection;
    let text = '';
    if (state === 'reconnecting') {
      const seconds = Math.ceil((loss.until - Date.now()) / 1000);
      text = seconds > 0 ? `Next attempt in ${seconds} s.` : 'Trying …';
    } else if (state === 'replaced') {
      text = `${identity.name}\u00a0·\u00a0${identity.device} has connected there.`;
    } else if (state === 'closed') {
      text = `${loss.code} ${loss.reason}`;
    }
    setText(byId('banner-text'), text);
  }
}
