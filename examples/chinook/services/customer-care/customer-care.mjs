// Customer care at work: confirms how customers are reached, forgets one now and then, and thanks for each purchase.
//
// usage: DATABASE_URL=postgres://… node customer-care.mjs [COUNT [SEED]]
//
// What it changes it tells with one SQL call in the same transaction. That something was bought it finds in its inbox.

import pg from 'pg';

const count = Number(process.argv[2] ?? 10);
const roll = dice(Number(process.argv[3] ?? 1));
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
let stopping = false;
let retried = 0;
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => { stopping = true; });

// Returns numbers from 0 to 1, the same for the same seed (mulberry32).
function dice(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const publish = (change, customer) =>
  client.query("SELECT seamline.publish('customer', $1, $2)", [change, JSON.stringify([String(customer)])]);

// Does the work in one transaction, again if another one was in the way: then nothing of it happened.
async function transaction(work) {
  for (;;) {
    try {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      const told = await work();
      await client.query('COMMIT');
      return told;
    } catch (error) {
      // Where the connection is gone there is nothing to roll back.
      await client.query('ROLLBACK').catch(() => {});
      if (error.code !== '40001' && error.code !== '40P01') throw error;
      retried += 1;
    }
  }
}

async function chosen(at) {
  const { rows } = await client.query(
    `SELECT c.customer_id, p.country FROM customer c LEFT JOIN buyer_place p USING (customer_id)
      WHERE c.customer_id >= (SELECT floor(max(customer_id) * $1::float8) FROM customer)
      ORDER BY c.customer_id LIMIT 1 FOR UPDATE OF c`, [at]);
  return rows[0];
}

async function confirm(customer, mark) {
  const phone = mark % 3 === 0 ? null : `+00 555 ${String(mark).padStart(4, '0')}`;
  await client.query('UPDATE customer SET email = $2, phone = $3 WHERE customer_id = $1',
    [customer.customer_id, `customer${customer.customer_id}.${mark}@mail.example`, phone]);
  await publish('ContactConfirmed', customer.customer_id);
  return `customer ${customer.customer_id} (${customer.country ?? 'country unknown'}) was reached`;
}

async function forget(customer) {
  // Told before the row goes, so that its last state can be told.
  await publish('CustomerForgotten', customer.customer_id);
  await client.query('DELETE FROM customer WHERE customer_id = $1', [customer.customer_id]);
  return `customer ${customer.customer_id} is forgotten`;
}

async function thank() {
  const { rows: [booked] } = await client.query(
    `SELECT number, (key::json ->> 0)::integer AS invoice_no FROM seamline.inbox
      WHERE subscription = 'customer-care/purchases' AND event = 'InvoiceBooked' AND state = 'waiting'
      ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED`);
  if (!booked) return undefined;
  await client.query('INSERT INTO thanks (invoice_no) VALUES ($1)', [booked.invoice_no]);
  await client.query(`UPDATE seamline.inbox SET state = 'done', attempts = attempts + 1 WHERE number = $1`, [booked.number]);
  return `thanks for invoice ${booked.invoice_no}`;
}

await client.connect();
let done = 0;
for (; done < count && !stopping; done += 1) {
  const [at, what, mark] = [roll(), roll(), Math.floor(roll() * 10000)];
  console.log(await transaction(async () => {
    const customer = await chosen(at);
    if (!customer) return 'no customer is left';
    return what < 0.005 ? forget(customer) : confirm(customer, mark);
  }));
}
let thanked = 0;
for (let told; !stopping && (told = await transaction(thank)); thanked += 1) console.log(told);
await client.end();
console.log(`customer-care: ${done} changes, ${thanked} reactions, ${retried} retried`);
