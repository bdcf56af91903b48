// SPDX-License-Identifier: MIT
//
// One of the usual tools as a loop: node screenshot.js TOOL CHROMIUM CLIENTS
// SECONDS URL.  CLIENTS loops take one picture after the other, each in a fresh
// context of one browser.  Selenium has no contexts, and takes it in a new tab;
// its session is in one tab at a time, so that clients have to take turns, or
// (selenium-each) a browser for each.  Prints a line of JSON: times in ms of each picture after the
// first of each client, and the wall time; then waits for the end of stdin, so
// that its memory can be looked at.

'use strict';

const [tool, chromium, clientsText, secondsText, url] = process.argv.slice(2);
const clients = Number(clientsText), seconds = Number(secondsText);
const view = {width: 1280, height: 800};
// Root has to do without; ufop runs its browser as nobody, with the sandbox.
const args = ['--no-sandbox', '--disable-gpu', '--hide-scrollbars'];

async function selenium(shared) {
	const {Builder} = require('selenium-webdriver');
	const chrome = require('selenium-webdriver/chrome');
	const drivers = [];

	async function start() {
		const options = new chrome.Options();
		options.setChromeBinaryPath(chromium);
		options.addArguments('--headless', '--window-size=1280,800',
		    ...args);
		const driver = await new Builder().forBrowser('chrome')
		    .setChromeService(new chrome.ServiceBuilder(
		        '/usr/bin/chromedriver'))
		    .setChromeOptions(options).build();
		const home = await driver.getWindowHandle();
		drivers.push(driver);
		return async () => {
			await driver.switchTo().newWindow('tab');
			await driver.get(url);
			const png = Buffer.from(await driver.takeScreenshot(),
			    'base64');
			await driver.close();
			await driver.switchTo().window(home);
			return png;
		};
	}

	// Whoever comes waits for all that came before.
	function inTurn(shoot) {
		let last = Promise.resolve();
		return () => last = last.then(shoot);
	}

	const one = shared ? inTurn(await start()) : null;
	return {
		client: async () => one ?? await start(),
		close: () => Promise.all(drivers.map(d => d.quit())),
	};
}

const tools = {
	async playwright() {
		const {chromium: engine} = require('playwright-core');
		const browser = await engine.launch({executablePath: chromium,
		    args});
		return {
			client: async () => async () => {
				const context = await browser.newContext(
				    {viewport: view});
				const page = await context.newPage();
				await page.goto(url);
				const png = await page.screenshot();
				await context.close();
				return png;
			},
			close: () => browser.close(),
		};
	},
	async puppeteer() {
		const puppeteer = require('puppeteer-core');
		const browser = await puppeteer.launch({args, headless: 'shell',
		    executablePath: chromium, defaultViewport: view});
		return {
			client: async () => async () => {
				const context =
				    await browser.createBrowserContext();
				const page = await context.newPage();
				await page.goto(url);
				const png = await page.screenshot();
				await context.close();
				return png;
			},
			close: () => browser.close(),
		};
	},
	selenium: () => selenium(true),
	'selenium-each': () => selenium(false),
};

(async () => {
	const t = await tools[tool]();
	const shots = [];
	for (let i = 0; i < clients; i++) {
		shots.push(await t.client());
		await shots[i]();
	}
	const began = performance.now(), times = [];
	await Promise.all(shots.map(async shoot => {
		while (performance.now() - began < seconds * 1000) {
			const at = performance.now();
			const png = await shoot();
			if (png.length < 1000)
				throw new Error('no picture');
			times.push(performance.now() - at);
		}
	}));
	console.log(JSON.stringify({times,
	    wall: (performance.now() - began) / 1000}));
	for await (const _ of process.stdin)
		;
	await t.close();
})().catch(e => {
	console.error(e);
	process.exit(1);
});
