/** The client's side of a COPY: what it sends while the target takes data passes, as far as it was approved. */
import { copyFail } from '../builders.ts';
import type { Frame } from '../wire.ts';
import type { Stay } from './stay.ts';

/** One of the client's messages while the target takes COPY data. */
export function copyStep(stay: Stay, frame: Frame, type: string): void {
  switch (type) {
    case 'd': {
      const excess = stay.copying?.count(frame.bytes, frame.first);
      // A frame that is on its way is finished first: nothing may stand in its middle.
      if (excess === undefined || !frame.first) stay.toTarget.add(frame.bytes);
      if (excess !== undefined && (frame.first || frame.last)) breakOff(stay, excess);
      return;
    }
    case 'c':
    case 'f':
      stay.copying = undefined;
      stay.toTarget.add(frame.bytes);
      return;
    case 'S':
    case 'H':
      return; // as the server does in the midst of a COPY
    default:
      breakOff(stay, `unexpected message type 0x${frame.type.toString(16)} during COPY from stdin`);
  }
}

function breakOff(stay: Stay, reason: string): void {
  stay.copying = undefined;
  stay.toTarget.add(copyFail(reason));
}
