/**
 * Goal: the bytes are those of docs/runner-protocol.md, and no bytes at all can make the reader hang, guess or hold more than a
 * frame. Method: frames written out by hand, every way to cut them, and random ones there and back.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { decodeFields, encodeFrame, Fields, frameBytesMax, FrameReader, frameType, tag, type Field } from "./frames.ts";
import { endRecordOfFile } from "./records.ts";

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(/\s/g, ""), "hex");

/** SIGNAL 15 to the whole tree: u32 length 29, type 2, tag 32 of 8 bytes, tag 33 of 8 bytes. */
const signalFrame = bytes("1d000000 02 2000 08000000 0f00000000000000 2100 08000000 0200000000000000");
/** END of a command that exited with 3 after "é": position 2; in the file `end` the same bytes. */
const endFrame = bytes(`37000000 45
  3d00 08000000 0300000000000000
  2200 06000000 657869746564
  3800 08000000 0200000000000000
  4000 08000000 dc05000000000000`);

describe("frames", () => {
  test("what we send is byte for byte what the page says", () => {
    assert.deepEqual(
      encodeFrame(frameType.signal, [
        [tag.signal, 15],
        [tag.scope, 2],
      ]),
      signalFrame,
    );
    assert.deepEqual(encodeFrame(frameType.inputEof, []), bytes("01000000 05"));
    const lists = encodeFrame(frameType.start, [
      [tag.argv, "/é"],
      [tag.argv, ""],
      [tag.data, Buffer.from([0, 255])],
    ]);
    assert.deepEqual(lists, bytes("18000000 01 0200 03000000 2fc3a9 0200 00000000 2300 02000000 00ff"));
    assert.throws(() => encodeFrame(frameType.input, [[tag.data, Buffer.alloc(frameBytesMax)]]), /over the limit/);
    assert.equal(encodeFrame(frameType.input, [[tag.data, Buffer.alloc(frameBytesMax - 7)]]).length, frameBytesMax + 4);
  });

  test("what we read means what the page says, and what is not there is not zero", () => {
    const [frame] = new FrameReader().push(endFrame);
    assert.equal(frame?.type, frameType.end);
    assert.equal(frame.fields.number(tag.exitCode), 3);
    assert.equal(frame.fields.text(tag.reason), "exited");
    assert.equal(frame.fields.number(tag.signal), undefined);
    const end = endRecordOfFile(endFrame)!;
    assert.deepEqual(
      [end.reason, end.exitCode, end.signal, end.position, end.durationMs],
      ["exited", 3, undefined, 2, 1.5],
    );
    const odd = decodeFields(bytes("3d00 04000000 01000000 ff7f 01000000 00"));
    assert.equal(odd.number(tag.exitCode), undefined, "a number has 8 bytes");
  });

  test("P2: a file `end` that is cut off anywhere, or has more than one frame, is no end", () => {
    for (let length = 0; length < endFrame.length; length += 1) {
      assert.equal(endRecordOfFile(endFrame.subarray(0, length)), undefined);
    }
    assert.equal(endRecordOfFile(Buffer.concat([endFrame, endFrame])), undefined);
    const unknown = encodeFrame(frameType.end, [[tag.reason, "eaten"]]);
    assert.equal(endRecordOfFile(unknown)?.reason, "unknown");
  });

  test("frames arrive whole however the stream is cut, and half a frame is waited for", () => {
    const stream = Buffer.concat([signalFrame, endFrame, signalFrame]);
    for (let at = 0; at <= stream.length; at += 1) {
      const reader = new FrameReader();
      const frames = [...reader.push(stream.subarray(0, at)), ...reader.push(stream.subarray(at))];
      assert.deepEqual(
        frames.map(({ type }) => type),
        [frameType.signal, frameType.end, frameType.signal],
      );
    }
    const reader = new FrameReader();
    for (const byte of signalFrame.subarray(0, -1)) assert.deepEqual(reader.push(Buffer.from([byte])), []);
    assert.equal(reader.push(signalFrame.subarray(-1)).length, 1);
  });

  test("lengths that no shim of ours sends are refused at once, not waited for", () => {
    for (const [hex, pattern] of [
      ["00000000 02", /claims 0 bytes/],
      ["01004000 02", /claims 4194305 bytes/],
      ["ffffffff 02", /claims 4294967295 bytes/],
      ["04000000 02 2000 08", /cut off/],
      ["09000000 02 2000 03000000 0f00", /field 32 is cut off/],
      ["07000000 02 2000 ffffffff", /field 32 is cut off/],
    ] as const) {
      assert.throws(() => new FrameReader().push(bytes(hex)), pattern, hex);
    }
  });

  test("any fields come back as they were, cut at any places", () => {
    const text = fc.string({ unit: "grapheme" }).filter((value) => value.isWellFormed());
    const value = fc.oneof(fc.nat(Number.MAX_SAFE_INTEGER), text);
    const fields = fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 65_535 }), value), {
      selector: ([at]) => at,
      maxLength: 8,
    });
    fc.assert(
      fc.property(fields, fc.array(fc.nat(200), { maxLength: 6 }), (written: Field[], cuts) => {
        const frame = encodeFrame(frameType.start, written);
        const reader = new FrameReader();
        const places = [0, ...cuts.map((cut) => Math.min(cut, frame.length)).sort((a, b) => a - b), frame.length];
        const frames = places.slice(1).flatMap((to, at) => reader.push(frame.subarray(places[at], to)));
        assert.equal(frames.length, 1);
        for (const [at, expected] of written) {
          const read = frames[0]!.fields;
          assert.equal(typeof expected === "number" ? read.number(at) : read.text(at), expected);
        }
      }),
    );
  });

  test("no bytes throw anything but a RangeError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (garbage) => {
        try {
          assert.ok(decodeFields(Buffer.from(garbage)) instanceof Fields);
          new FrameReader().push(Buffer.from(garbage));
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
