"""The words of the little stories; their order fixes the ids."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _words("""
ada agnes albert alma amos anna arthur beth boris carla cesar clara conrad cora daisy david dora edgar edith
elena elias emil emma enid erik ernest esther ethel felix flora frank frida fritz george gilda greta gustav
hanna harold hector helga henry hilda hugo ida igor ines irma isaac ivan jakob jane john judith julia karl
kate klaus lara laura leo lena lotte louis lucy magda marco maria martha max mila mina nadia nils nina nora
olga oscar otto paul paula pedro petra ralph rita robert rosa ruben ruth sam sara simon sofia stella susan
tara theo thomas tina tobias tom ursula vera victor walter wanda willa
""")

THINGS = _words("""
anchor apple apron atlas axe bag ball banner barrel basin basket bell belt blanket boot bottle bowl box
bracelet brick broom brush bucket button cage candle cane cap carpet cello chain chair chalk chest clock
cloak coat coin comb compass cork crown cup curtain cushion dagger diary dish doll dress drum fan feather
fiddle file flag flask flute fork frame funnel glass globe glove hammer harp hat helmet hook horn iron jar
jug kettle key kite knife ladder lamp lantern lens letter lock lute magnet mallet map mask medal melon
mirror mug nail needle net oar organ paddle painting pan parcel pear pearl pen pencil pillow pipe plate
plough pot pump purse quilt rake razor ribbon ring robe rope rug ruler sack saddle sail saw scarf scissors
shawl shell shield shoe shovel sickle sieve skate slate sled sock spade spoon stamp stool string sword table
tablet tent thimble thread tile tin torch towel toy tray trumpet trunk tub umbrella vase veil violin wagon
wallet watch wheel whip whistle wreath
""")

PLACES = _words("""
abbey alley attic barn bakery bank bathhouse bridge brewery cabin castle cave cellar chapel church circus
cottage courtyard dairy dock dungeon farm ferry field forest forge fortress garden gate granary greenhouse
hall harbour hospital hotel hut inn island kitchen laboratory library lighthouse market meadow mill mine
monastery museum office orchard palace park pier quarry ruin school shed ship shop smithy square stable
station studio temple theatre tower town tunnel valley vault village vineyard workshop yard
""")

OTHERS = _words("""
. and put left hid kept lost carried found asked about to in from the then later next day morning old new
small red blue green thanked went back home with
""")
