// SPDX-License-Identifier: MIT
//
// sharp as a service: node sharp.js PORT PROCESSES.  POST a picture to
// jpeg/W/Q, png/W, webp/W/Q (W pixels wide, of quality Q) or
// crop/X/Y/W/H/Q (a part as JPEG); GET / answers 200.

'use strict';

const cluster = require('node:cluster');
const http = require('node:http');

const [port, processes] = process.argv.slice(2).map(Number);

if (cluster.isPrimary) {
	for (let i = 0; i < processes; i++)
		cluster.fork();
	cluster.on('exit', worker => {
		if (!worker.exitedAfterDisconnect)
			process.exit(1);
	});
	process.on('SIGTERM', () => {
		cluster.disconnect(() => process.exit(0));
		for (const worker of Object.values(cluster.workers))
			worker.process.kill();
	});
	return;
}

const sharp = require('sharp');

// One thread a picture: the cores are busy with other pictures.  And no
// picture comes twice.
sharp.concurrency(1);
sharp.cache(false);

const works = {
	jpeg: (s, w, q) => s.resize(w).jpeg({quality: q}),
	png: (s, w) => s.resize(w).png(),
	// The effort that the others are told to use.
	webp: (s, w, q) => s.resize(w).webp({quality: q, effort: 2}),
	crop: (s, left, top, width, height, q) =>
	    s.extract({left, top, width, height}).jpeg({quality: q}),
};

async function answer(request, response) {
	const [, kind, ...numbers] = request.url.split('/');
	if (request.method === 'GET')
		return response.end('ready');
	// Its length is known: no list of pieces to be joined.
	const body = Buffer.allocUnsafe(
	    Number(request.headers['content-length']));
	let at = 0;
	for await (const piece of request)
		at += piece.copy(body, at);
	const picture = await works[kind](sharp(body),
	    ...numbers.map(Number)).toBuffer();
	response.setHeader('Content-Length', picture.length);
	response.end(picture);
}

http.createServer((request, response) => answer(request, response).catch(
	e => {
		console.error(e);
		response.statusCode = 500;
		response.end();
	})).listen(port, '127.0.0.1');
