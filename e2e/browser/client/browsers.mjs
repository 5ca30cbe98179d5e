// Chromium and Firefox, as Debian has them: playwright drives its own build of Firefox only, puppeteer any.

const chromiumFlags = [
  '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

/** How to launch a browser, by name. Both have contexts with pages of much the same interface. */
export const browsers = {
  async chromium() {
    const { chromium } = await import('playwright-core');
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: chromiumFlags });
    return { newContext: () => browser.newContext(), close: () => browser.close() };
  },
  async firefox() {
    const { default: puppeteer } = await import('puppeteer-core');
    const browser = await puppeteer.launch({ browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true });
    return { newContext: () => browser.createBrowserContext(), close: () => browser.close() };
  },
};
