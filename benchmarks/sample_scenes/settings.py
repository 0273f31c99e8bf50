# ruff: noqa: E501 - shapes and textures read best with one part a line
"""Colours, materials and the places where the things stand, in POV-Ray's language."""

from __future__ import annotations

import random
from dataclasses import dataclass

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.83, 0.07, 0.07),
    "blue": (0.10, 0.22, 0.82),
    "green": (0.10, 0.58, 0.16),
    "yellow": (0.98, 0.84, 0.10),
    "orange": (0.98, 0.50, 0.05),
    "purple": (0.46, 0.12, 0.66),
    "pink": (0.98, 0.52, 0.72),
    "white": (0.95, 0.95, 0.95),
    "black": (0.06, 0.06, 0.07),
    "brown": (0.42, 0.24, 0.11),
    "turquoise": (0.10, 0.78, 0.76),
}

PRELUDE = """#version 3.7;
global_settings{assumed_gamma 1 max_trace_level 5}
#macro Tex(C,S) texture{pigment{C} finish{ambient 0 diffuse .8 specular S roughness .02}} #end
#declare T_Black=Tex(color srgb .06,.4);
#declare T_White=Tex(color srgb .95,.2);
#declare T_Snow=texture{pigment{srgb .97} normal{bumps .15 scale .06} finish{ambient .03 diffuse .85}};
#declare T_Pip=Tex(color srgb <PIP>,.2);
#declare T_Red=Tex(color srgb <.8,.05,.05>,.4);
#declare T_Cream=Tex(color srgb <.96,.91,.78>,.1);
#declare T_Pages=texture{pigment{gradient y color_map{[0 srgb .97][.7 srgb .93][1 srgb .75]} scale .04} finish{ambient 0 diffuse .8}};
#declare T_Carrot=Tex(color srgb <.98,.5,.08>,.2);
#declare T_Leaf=Tex(color srgb <.16,.5,.14>,.25);
#declare T_Soil=Tex(color srgb <.25,.16,.1>,0);
#declare T_Center=Tex(color srgb CENTER,0);
#declare T_Cork=Tex(color srgb <.75,.56,.35>,0);
#declare T_Brick=Tex(color srgb <.6,.3,.22>,0);
#declare T_Ribbon=Tex(color srgb <.98,.83,.2>,.5);
#declare T_WoodDark=Tex(color srgb <.36,.2,.1>,.1);
#declare T_WoodLight=Tex(color srgb <.76,.56,.34>,.1);
#declare T_Steel=texture{pigment{srgb .78} finish{ambient 0 diffuse .45 specular .8 roughness .02 reflection .25 metallic}};
#declare T_Gold=texture{pigment{srgb <.95,.74,.25>} finish{ambient .03 diffuse .8 specular .9 roughness .02 reflection .1 metallic}};
#declare T_Window=texture{pigment{srgb <.25,.36,.46>} finish{ambient .02 diffuse .5 specular .9 roughness .005 reflection .2}};
#declare T_Lamp=texture{pigment{srgb <1,.96,.75>} finish{ambient 0 emission .4 diffuse .6}};
#declare T_Glow=texture{pigment{srgb <1,.95,.75>} finish{ambient 0 emission 1 diffuse 0}};
#declare T_Flame=texture{pigment{srgb <1,.8,.25>} finish{ambient 0 emission 1.2 diffuse 0}};
"""

GLOSSY = "finish{ambient 0 diffuse .8 specular .7 roughness .008 reflection .06}"
SATIN = "finish{ambient 0 diffuse .85 specular .25 roughness .03}"
DULL = "finish{ambient 0 diffuse .85 specular .04 roughness .2}"


def _rgb(colour: tuple[float, ...]) -> str:
    return "<{:.3f},{:.3f},{:.3f}>".format(*colour)


def material(name: str, colour: str, rng: random.Random) -> str:
    """``M`` (main material) and ``T_Gem`` for a colour, a little varied."""
    base = COLOURS[colour]
    shade = rng.uniform(0.9, 1.05)
    c = tuple(min(1.0, max(0.0, v * shade + rng.uniform(-0.03, 0.03))) for v in base)
    rgb = _rgb(c)
    if name == "glass":
        tint = _rgb(tuple(0.35 + 0.65 * v for v in c))
        body = (
            f"texture{{pigment{{srgb {tint} filter .82}} finish{{ambient 0 diffuse .25 specular .9 roughness .004 "
            "reflection{.03,.35}}} interior{ior 1.15}"
        )
    elif name == "metal":
        body = f"texture{{pigment{{srgb {rgb}}} finish{{ambient 0 diffuse .75 specular .9 roughness .02 reflection .09 metallic}}}}"
    elif name == "wooden":
        dark = _rgb(tuple(v * 0.8 for v in c))
        body = (
            f"texture{{pigment{{wood turbulence .06 color_map{{[0 srgb {rgb}][.7 srgb {rgb}][1 srgb {dark}]}} "
            f"rotate <3,88,0> scale .16}} {SATIN}}}"
        )
    elif name in ("fabric", "paper"):
        bump = "normal{bumps .25 scale .03}" if name == "fabric" else ""
        body = f"texture{{pigment{{srgb {rgb}}} {bump} {DULL}}}"
    elif name in ("wax", "fresh", "leather", "rubber"):
        body = f"texture{{pigment{{srgb {rgb}}} {SATIN}}}"
    else:
        body = f"texture{{pigment{{srgb {rgb}}} {GLOSSY}}}"
    gem = f"texture{{pigment{{srgb {rgb}}} finish{{ambient .05 emission .12 diffuse .7 specular 1 roughness .005 reflection .2}}}}"
    return f"#declare M=material{{{body}}};\n#declare T_Gem={gem};\n"


@dataclass(frozen=True)
class Setting:
    """A place: its shapes, the light it is seen in, and the words for it."""

    name: str
    phrase: str
    others: tuple[str, ...]
    sdl: str
    light: float = 0.95
    fill: float = 0.35
    avoid: tuple[str, ...] = ()


SKY = "sky_sphere{pigment{gradient y color_map{[0 srgb <.85,.92,.98>][.5 srgb <.38,.62,.92>]}}}\n"

STUDIO = """background{srgb .96}
plane{y,0 texture{pigment{srgb .97} finish{ambient 0 emission .34 diffuse .62}}}
plane{-z,-7 texture{pigment{srgb .97} finish{ambient 0 emission .5 diffuse .5}}}
"""
WOOD = """plane{-z,-5 texture{pigment{srgb <.88,.84,.76>} finish{ambient .1 diffuse .7}}}
#declare Grain=pigment{wood turbulence .1 color_map{[0 srgb <.70,.47,.27>][.6 srgb <.63,.40,.22>][1 srgb <.46,.28,.14>]} rotate <2,90,0> scale <1,.2,.2>};
#for(I,-8,8) box{<-9,-.4,I*.7>,<9,0,I*.7+.68> texture{pigment{Grain translate <I*3.7,I*.53,I*.31>} finish{ambient 0 diffuse .85 specular .15 roughness .05}}} #end
"""
LAWN = (
    SKY
    + """plane{y,0 texture{pigment{bozo turbulence .6 color_map{[0 srgb <.16,.40,.10>][1 srgb <.32,.58,.18>]} scale .6} finish{ambient 0 diffuse .8}}}
#declare R=seed(SEED);
mesh{ #for(I,1,5000)
 #local X=(rand(R)-.5)*9; #local Z=-3.5+pow(rand(R),1.4)*8; #local A=rand(R)*6.28; #local H=.09+rand(R)*.15;
 triangle{<X-.02*cos(A),0,Z-.02*sin(A)>,<X+.02*cos(A),0,Z+.02*sin(A)>,<X+.1*(rand(R)-.5),H,Z+.1*(rand(R)-.5)>}
#end texture{pigment{bozo color_map{[0 srgb <.20,.50,.12>][1 srgb <.45,.70,.22>]} scale .3} finish{ambient .04 diffuse .9}}}
"""
)
BEACH = (
    SKY
    + """plane{y,0 texture{pigment{granite color_map{[0 srgb <.94,.84,.63>][1 srgb <.84,.72,.50>]} scale 1.2} normal{bumps .16 scale <.6,.5,.25>} finish{ambient 0 diffuse .9}}}
box{<-80000,-1,4.2>,<80000,.01,90000> texture{pigment{srgb <.10,.48,.62>} normal{bumps .35 scale <1.4,1,.35>} finish{ambient 0 diffuse .6 specular .6 roughness .02 reflection .15}}}
box{<-80,-1,3.9>,<80,.012,4.25> texture{pigment{srgb .97} normal{bumps .4 scale .2} finish{ambient .1 diffuse .8}}}
"""
)
BLUEWALL = """plane{-z,-2.6 texture{pigment{srgb <.34,.56,.82>} finish{ambient .03 diffuse .75}}}
plane{y,0 texture{pigment{srgb <.80,.80,.79>} finish{ambient 0 diffuse .8 specular .1}}}
box{<-20,0,2.5>,<20,.3,2.7> texture{T_White}}
"""
BRICK = """plane{-z,-2.6 texture{pigment{brick srgb <.80,.77,.72>, srgb <.62,.27,.19> brick_size <.8,.26,.4> mortar .035} normal{granite .15 scale .3} finish{ambient .02 diffuse .8}}}
plane{y,0 texture{pigment{granite color_map{[0 srgb .66][1 srgb .54]} scale .8} finish{ambient 0 diffuse .8}}}
"""
NIGHT = """background{srgb <.015,.02,.06>}
plane{y,0 texture{pigment{srgb <.16,.18,.26>} finish{ambient 0 diffuse .6 specular .1}}}
#declare R=seed(SEED);
#for(I,1,60) sphere{<(rand(R)-.5)*36,.5+rand(R)*5,26>,.04+.05*rand(R) pigment{srgb 1} finish{emission 1 ambient 0}} #end
sphere{<MOON,2.9,25>,.75 pigment{srgb <1,.97,.85>} finish{emission .9 ambient 0 diffuse 0} no_shadow}
"""
CHECK = """plane{y,0 texture{pigment{checker srgb .93, srgb .12 scale .75 rotate y*20} finish{ambient 0 diffuse .75 specular .3 roughness .02 reflection .06}}}
plane{-z,-6 texture{pigment{srgb <.78,.80,.80>} finish{ambient .1 diffuse .7}}}
"""
SNOW = """sky_sphere{pigment{gradient y color_map{[0 srgb <.80,.85,.90>][.5 srgb <.58,.70,.84>]}}}
plane{y,0 texture{pigment{srgb <.93,.96,1>} normal{bumps .14 scale 1.3} finish{ambient .08 diffuse .9}}}
#declare R=seed(SEED);
#for(I,0,6) #local X=-13+I*4.2+rand(R)*2; #local Z=12+rand(R)*6; #for(J,0,2) cone{<X,.2+J*1.1,Z>,1.6-.4*J,<X,2.2+J*1.1,Z>,0 texture{pigment{srgb <.16,.32,.25>} finish{diffuse .7}}} #end #end
#for(I,1,90) sphere{<(rand(R)-.5)*7,rand(R)*5,-1.5+rand(R)*6>,.022 pigment{srgb 1} finish{emission .5 diffuse .5} no_shadow} #end
"""

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "white-studio",
        "on a white background",
        ("in a white studio", "against plain white"),
        STUDIO,
        0.85,
        0.3,
        ("white",),
    ),
    Setting(
        "wooden-table",
        "on a wooden table",
        ("on wooden planks", "on a brown wooden surface"),
        WOOD,
        avoid=("brown",),
    ),
    Setting(
        "grass",
        "on the grass",
        ("on a green lawn", "outdoors in a garden"),
        LAWN,
        1.15,
        avoid=("green",),
    ),
    Setting("beach", "on a sandy beach", ("on the sand by the sea", "at the seaside"), BEACH, 1.1),
    Setting(
        "blue-wall",
        "in front of a blue wall",
        ("in a room with a blue wall", "by a blue wall"),
        BLUEWALL,
        avoid=("blue",),
    ),
    Setting(
        "brick-wall",
        "in front of a brick wall",
        ("by a wall of red bricks", "beside a brick wall"),
        BRICK,
    ),
    Setting(
        "night",
        "at night",
        ("in the dark under the moon", "under a starry sky"),
        NIGHT,
        0.75,
        0.08,
        ("black", "brown"),
    ),
    Setting(
        "checked-floor",
        "on a checked floor",
        ("on black and white tiles", "on a chequered floor"),
        CHECK,
        avoid=("black", "white"),
    ),
    Setting(
        "snow",
        "in the snow",
        ("on snowy ground", "outdoors in winter"),
        SNOW,
        0.85,
        0.25,
        ("white",),
    ),
)


def place(setting: Setting, rng: random.Random, plain: bool = False, aim: float = 0.95) -> str:
    """Camera, lights and surroundings; *plain* keeps the camera near its usual place."""
    spread = 0.5 if plain else 1.0
    angle = rng.uniform(-14, 14) * spread
    height = 2.35 + rng.uniform(-0.6, 0.7) * spread
    distance = 4.9 + rng.uniform(-0.3, 0.9) * spread
    aim_x, aim_y = rng.uniform(-0.25, 0.25) * spread, aim + rng.uniform(-0.15, 0.15) * spread
    side = rng.choice((-1, 1))
    lx, ly, lz = side * rng.uniform(2.5, 5.5), rng.uniform(5.5, 8), -rng.uniform(3.5, 6)
    if setting.name == "night":
        near, size = 1, 1.6
    else:
        near, size = 6, 9.6
    power = setting.light * rng.uniform(0.9, 1.1)
    warm = rng.uniform(0.9, 1.0)
    sdl = setting.sdl.replace("SEED", str(rng.randrange(10000))).replace(
        "MOON", "%.1f" % (rng.choice((-1, 1)) * rng.uniform(4, 7.5))
    )
    return (
        f"camera{{location <0,{height:.2f},{-distance:.2f}> right x up y angle 38 look_at <{aim_x:.2f},{aim_y:.2f},0> rotate y*{angle:.1f}}}\n"
        f"light_source{{<{lx * near:.2f},{ly * near:.2f},{lz * near:.2f}> rgb <{power:.2f},{power * (warm + 1) / 2:.2f},{power * warm:.2f}> "
        f"area_light <{size},0,0>,<0,0,{size}>,3,3 adaptive 0 jitter circular orient}}\n"
        f"light_source{{<{-side * 4},4,-6> rgb {setting.fill:.2f} shadowless}}\n" + sdl
    )
