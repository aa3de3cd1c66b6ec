import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openSpelling } from '../../shared/spelling.ts';

const spelling = openSpelling({
  suggested: 'table vinegar boats boat coat bed wooden mackerel café столик 𐐨𐐩𐐪𐐫𐐬',
  known: 'cable hovel carafe',
});

describe('spelling', () => {
  it.each([
    ['tabe', 'table'],
    ['vonegar', 'vinegar'],
    ['makerel', 'mackerel'],
    ['woodden table', 'wooden table'],
    ['tbale', 'table'],
    ['atble', 'table'],
    ['bota', 'boat'],
    ['столак', 'столик'],
    ['𐐨𐐪𐐩𐐫𐐬', '𐐨𐐩𐐪𐐫𐐬'],
    ['wooden-tabel, cafés', 'wooden-table, cafés'],
  ])('reads %j as %j', (typed, meant) => expect(spelling(typed)).toBe(meant));

  it.each([
    ['a word that is right, though a commoner one is near', 'cable'],
    ['a plural of one', 'hovels'],
    ['a short word', 'bef'],
    ['a word with another first letter', 'goat'],
    ['two slips', 'vonagar'],
    ['figures', 'tabl3 tabe2 4001'],
    ['a name that nothing is near', 'xyzzyq'],
  ])('leaves %s alone', (_, text) => expect(spelling(text)).toBe(text));

  it('is not misled by a string that has the hash of a word', () => {
    const [word, other] = ['derulem', 'famolaf']; // one FNV-1a in 32 bits
    const misled = openSpelling({ suggested: `${word} fabric`, known: '' });
    expect([misled(other), misled('famolas'), misled('derulm')]).toEqual([other, 'famolas', word]);
  });

  it('leaves words alone that are too long to be any', () => {
    const long = 'ab'.repeat(12);
    const table = openSpelling({ suggested: long, known: '' });
    expect([table(`${long}b`), table(long.slice(0, -1))]).toEqual([`${long}b`, long]);
  });

  it('prefers the commoner of two words that are as near', () => {
    expect(openSpelling({ suggested: 'boat boats', known: '' })('boatz')).toBe('boat');
    expect(openSpelling({ suggested: 'boats boat', known: '' })('boatz')).toBe('boats');
  });

  it('comes to rest at once, keeps what is no letter, and works no longer on a text of unknown words', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const meant = spelling(text);
        expect(spelling(meant)).toBe(meant);
        expect(meant.replace(/[\p{L}\p{M}]/gu, '')).toBe(text.replace(/[\p{L}\p{M}]/gu, ''));
      }),
    );
    expect(
      spelling('tabe '.repeat(20))
        .split(' ')
        .filter((word) => word === 'table'),
    ).toHaveLength(12);
  });
});
