/** From what the page shows to requests, and from answers to pages of hits and facets. */

import * as api from "./api.js";
import { droppedPicture } from "./pictures.js";
import { asks } from "./state.js";
import { whereOf } from "./where.js";

const PAGE = 40;
const NEAREST = 12; // of a query that nothing is about
const EVERYTHING = "key is not null"; // a query needs words, an item or a filter

/** Searches as one state asks for it; a new state takes a new Finder. */
export class Finder {
  #known;
  #state;
  #signal;
  #body;
  #files;
  #cursor = null;

  /** `known`: see catalogue.js. `signal` ends all of its requests. */
  constructor(known, state, signal) {
    this.#known = known;
    this.#state = state;
    this.#signal = signal;
    this.#files = state.images.map(droppedPicture).filter(Boolean).map((picture) => picture.file);
    this.#body = bodyOf(state, known);
  }

  /**
   * The first page: an Answer, of which `nearest` says that its hits are no matches.
   *
   * Only what is relevant is asked for, where the collection is large enough to tell.
   */
  async first() {
    const relevant = asks(this.#state) && !this.#state.all && this.#known.judges;
    let answer = await this.#relevant(relevant);
    if (relevant && answer.no_match && !answer.hits.length) {
      const near = { ...this.#body, k: NEAREST, sort: [] };
      delete near.min_relevance;
      answer = { ...(await this.#ask(near)), no_match: answer.no_match, cursor: null };
    }
    this.#cursor = answer.cursor;
    return { ...answer, nearest: answer.no_match !== null };
  }

  get hasMore() {
    return this.#cursor !== null;
  }

  /** The hits of the next page. */
  async next() {
    const answer = await this.#ask({ ...this.#body, cursor: this.#cursor });
    this.#cursor = answer.cursor;
    return answer.hits;
  }

  /** The facets of attributes that are filtered by, each as if it were not: its other values. */
  async freed() {
    const names = [...Object.keys(this.#state.is), ...Object.keys(this.#state.range)];
    const asked = names.filter((name) => this.#known.facets.some((facet) => facet.attribute === name));
    const answers = await Promise.all(
      asked.map((name) => {
        const where = whereOf(this.#state, this.#known.types, name);
        const body = { ...this.#body, where: where || (this.#body.where && EVERYTHING), facets: [name], k: 1, sort: [] };
        return this.#ask(body);
      }),
    );
    return answers.flatMap((answer) => answer.facets);
  }

  async #relevant(relevant) {
    if (!relevant) return this.#ask(this.#body);
    this.#body.min_relevance = "auto";
    try {
      return await this.#ask(this.#body);
    } catch (error) {
      if (error.status !== 400) throw error;
      // A small collection cannot tell what is relevant. If that was not it, this fails as well.
      delete this.#body.min_relevance;
      const answer = await this.#ask(this.#body);
      this.#known.judges = false;
      return answer;
    }
  }

  #ask(body) {
    return api.search(body, this.#files, this.#signal);
  }
}

function bodyOf(state, known) {
  const where = whereOf(state, known.types);
  const text = state.q.trim();
  const body = {
    k: PAGE,
    terms: [...state.like.map((key) => ({ item: key })), ...(text ? [{ text }] : [])],
    liked: state.liked,
    disliked: state.disliked,
    exclude: state.disliked,
    sort: state.sort ? [state.sort] : [],
    group: state.group,
    facets: known.facets.map((facet) => facet.attribute),
  };
  const to = state.to ?? (state.images.length ? "image" : null);
  if (to) body.to = to;
  if (where || !asks(state)) body.where = where || EVERYTHING;
  return body;
}
