/** Lets a slow request and a sign-out of the same session meet: the one is under way until the other is over. */

/** For the other one, in milliseconds: a visitor may close the page between the two. */
const PATIENCE = 5000;

export class Meetings {
  readonly #meetings = new Map<string, Meeting>();

  /** Waits until a sign-out that came meanwhile is over. */
  async slow(session: string): Promise<void> {
    const meeting = this.#at(session);
    meeting.underWay.open();
    await inTime(meeting.over);
    this.#meetings.delete(session);
  }

  /** Signs out when the slow request is under way. */
  async signOut(session: string, signOut: () => Promise<void>): Promise<void> {
    const meeting = this.#at(session);
    await inTime(meeting.underWay);
    try {
      await signOut();
    } finally {
      meeting.over.open();
      this.#meetings.delete(session);
    }
  }

  #at(session: string): Meeting {
    const meeting = this.#meetings.get(session) ?? { underWay: new Gate(), over: new Gate() };
    this.#meetings.set(session, meeting);
    return meeting;
  }
}

interface Meeting {
  readonly underWay: Gate;
  readonly over: Gate;
}

class Gate {
  open: () => void = () => {};
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}

function inTime({ opened }: Gate): Promise<void> {
  return new Promise((resolve) => {
    const patience = setTimeout(resolve, PATIENCE);
    void opened.then(() => {
      clearTimeout(patience);
      resolve();
    });
  });
}
