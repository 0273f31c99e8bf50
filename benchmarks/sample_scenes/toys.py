# ruff: noqa: E501 - shapes and textures read best with one part a line
"""Toys and small gifts."""

from __future__ import annotations

from thing import ANY, Thing

CAR = """
superellipsoid{<.3,.3> scale <1.3,.32,.6> translate y*.58}
superellipsoid{<.35,.35> scale <.72,.42,.52> translate <-.12,.98,0>}
superellipsoid{<.2,.2> scale <.26,.19,.535> translate <-.42,1.06,0> texture{T_Window}}
superellipsoid{<.2,.2> scale <.26,.19,.535> translate <.17,1.06,0> texture{T_Window}}
superellipsoid{<.2,.2> scale <.735,.2,.4> translate <-.12,1.06,0> texture{T_Window}}
#for(I,-1,1,2) #for(J,-1,1,2)
 torus{.22,.11 rotate x*90 translate <.78*I,.33,.58*J> texture{T_Black}}
 cylinder{<.78*I,.33,.5*J>,<.78*I,.33,.66*J>,.19 texture{T_Steel}}
#end
 sphere{0,.11 scale <.5,1,1> translate <1.27,.62,.36*I> texture{T_Lamp}}
 sphere{0,.09 scale <.5,1,1> translate <-1.28,.62,.4*I> texture{T_Red}}
#end
box{<-1.34,.3,-.5>,<1.34,.42,.5> texture{T_Steel}}
"""
BALL = """
sphere{<0,.9,0>,.9}
torus{.9,.035 rotate <70,0,20> translate y*.9 texture{T_White}}
torus{.9,.035 rotate <20,0,60> translate y*.9 texture{T_White}}
"""
DICE = """
superellipsoid{<.15,.15> scale .7 translate y*.7}
#macro Pip(X,Y) sphere{<X,Y,-.7>,.12 scale <1,1,1> translate z*.03 texture{T_Pip}} #end
#declare Five=union{ Pip(0,0) Pip(.38,.38) Pip(-.38,-.38) Pip(.38,-.38) Pip(-.38,.38) }
#declare Three=union{ Pip(0,0) Pip(.38,.38) Pip(-.38,-.38) }
#declare Six=union{ #for(I,-1,1) Pip(-.35,.38*I) Pip(.35,.38*I) #end }
object{Five translate y*.7}
object{Three rotate y*90 translate y*.7}
object{Three rotate y*-90 translate y*.7}
object{Six rotate x*90 translate y*.7}
"""
GIFT = """
box{<-.75,0,-.75>,<.75,1,.75>}
box{<-.8,1,-.8>,<.8,1.25,.8>}
box{<-.14,-.01,-.82>,<.14,1.27,.82> texture{T_Ribbon}}
box{<-.82,-.01,-.14>,<.82,1.27,.14> texture{T_Ribbon}}
#for(I,-1,1,2)
 torus{.22,.07 scale <1.3,1.6,1> rotate x*90 rotate z*(I*25) translate <.27*I,1.45,0> texture{T_Ribbon}}
#end
sphere{<0,1.33,0>,.14 texture{T_Ribbon}}
"""
BUCKET = """
difference{ cone{0,.55,y*1.2,.8} cone{y*.06,.5,y*1.21,.75} }
torus{.8,.05 translate y*1.2}
difference{ torus{.8,.035 rotate x*90} box{<-1,-1,-1>,<1,0,1>} rotate x*28 translate y*1.2 texture{T_Steel}}
"""
HOUSE = """
box{<-.8,0,-.6>,<.8,1,.6>  texture{T_Cream}}
prism{linear_sweep linear_spline -.95,.95,4,<-.8,0>,<.8,0>,<0,.75>,<-.8,0> rotate -90*x rotate y*90 translate y*1}
box{<-.18,0,-.63>,<.18,.58,-.5> texture{T_WoodDark}}
sphere{<.1,.3,-.64>,.03 texture{T_Gold}}
#for(I,-1,1,2)
 box{<.5*I-.17,.4,-.63>,<.5*I+.17,.76,-.5> texture{T_White}}
 box{<.5*I-.13,.44,-.64>,<.5*I+.13,.72,-.5> texture{T_Window}}
 box{<.5*I-.015,.44,-.65>,<.5*I+.015,.72,-.5> texture{T_White}}
 box{<.5*I-.13,.57,-.65>,<.5*I+.13,.59,-.5> texture{T_White}}
 box{<.81*I-.02,.4,-.2>,<.81*I+.02,.75,.2> texture{T_Window}}
#end
box{<.35,1.2,.0>,<.6,1.9,.25> texture{T_Brick}}
"""
ROCKET = """
sor{8,<.3,.0>,<.35,.4>,<.45,.7>,<.5,1.1>,<.44,1.6>,<.25,2.1>,<.02,2.45>,<0,2.6> texture{T_White}}
difference{ sor{8,<.3,.0>,<.35,.4>,<.45,.7>,<.5,1.1>,<.44,1.6>,<.25,2.1>,<.02,2.45>,<0,2.6> scale <1.03,1,1.03>} box{<-1,0,-1>,<1,1.75,1>} }
cylinder{y*.62,y*.82,.465}
cone{y*.15,.33,y*.42,.25 texture{T_Steel}}
#for(I,0,3)
 prism{linear_sweep linear_spline -.05,.05,5,<.3,.95>,<.95,.35>,<.95,0>,<.3,.5>,<.3,.95> rotate -90*x rotate y*(I*90+45)}
#end
cylinder{<0,1.25,-.55>,<0,1.25,0>,.2 texture{T_Steel}}
cylinder{<0,1.25,-.57>,<0,1.25,0>,.14 texture{T_Window}}
"""
BOAT = """
difference{
 intersection{ sphere{0,1 scale <1.4,.8,.6> translate y*.7} box{<-2,0.05,-1>,<2,.65,1>} }
 sphere{0,1 scale <1.25,.5,.48> translate y*.75}
}
box{<-1.1,.45,-.45>,<1.1,.5,.45> texture{T_WoodLight}}
cylinder{y*.3,y*2.3,.05 texture{T_WoodDark}}
prism{linear_sweep linear_spline -.015,.015,4,<.1,.75>,<1.0,.75>,<.1,2.2>,<.1,.75> rotate -90*x texture{T_White}}
prism{linear_sweep linear_spline -.015,.015,4,<-.1,.8>,<-.8,.8>,<-.1,1.9>,<-.1,.8> rotate -90*x texture{T_White}}
prism{linear_sweep linear_spline -.01,.01,4,<0,2.3>,<.3,2.4>,<0,2.5>,<0,2.3> rotate -90*x}
"""
SNOWMAN = """
sphere{<0,.55,0>,.62 texture{T_Snow}}
sphere{<0,1.35,0>,.45 texture{T_Snow}}
sphere{<0,1.98,0>,.33 texture{T_Snow}}
torus{.31,.1 translate y*1.7}
box{<-.09,1.15,-.06>,<.09,1.7,.06> rotate y*0 translate <.2,0,-.45>}
cone{<0,1.97,-.3>,.07,<0,1.93,-.7>,.01 texture{T_Carrot}}
sphere{<-.12,2.08,-.29>,.045 texture{T_Black}} sphere{<.12,2.08,-.29>,.045 texture{T_Black}}
#for(I,0,2) sphere{<0,1.5-.22*I,-.44-.03*I>,.05 texture{T_Black}} #end
cylinder{y*2.2,y*2.25,.42 texture{T_Black}} cylinder{y*2.2,y*2.62,.27 texture{T_Black}}
cylinder{y*2.25,y*2.34,.28}
cylinder{<.4,1.45,0>,<1,1.8,0>,.03 texture{T_WoodDark}} cylinder{<-.4,1.45,0>,<-1,1.8,0>,.03 texture{T_WoodDark}}
"""
RING = """
torus{.75,.11 rotate x*90 translate y*.86 texture{T_Gold}}
cone{y*1.62,.13,y*1.8,.26 texture{T_Gold}}
intersection{ cone{y*1.5,0,y*2.0,.42} cone{y*1.8,.5,y*2.25,.1} box{<-1,1.5,-1>,<1,2.1,1>} translate y*-1.6 scale 1.5 translate y*1.42 texture{T_Gem}}
"""
TRAIN = """
cylinder{<-.2,.85,0>,<1.1,.85,0>,.4}
cylinder{<1.1,.85,0>,<1.16,.85,0>,.42 texture{T_Black}}
box{<-1.1,.4,-.5>,<-.2,1.5,.5>}
box{<-1.2,1.5,-.6>,<-.1,1.62,.6> texture{T_Black}}
box{<-.88,.95,-.52>,<-.42,1.35,.52> texture{T_Window}}
box{<-1.2,.32,-.45>,<1.2,.5,.45> texture{T_Black}}
cylinder{<.8,1.1,0>,<.8,1.55,0>,.13 texture{T_Black}} cone{<.8,1.5,0>,.13,<.8,1.75,0>,.24 texture{T_Black}}
sphere{<.25,1.25,0>,.17 texture{T_Gold}}
#for(J,-1,1,2)
 #for(I,0,2) cylinder{<-.75+.75*I,.3,.42*J>,<-.75+.75*I,.3,.56*J>,.3 texture{T_Ribbon}} cylinder{<-.75+.75*I,.3,.42*J>,<-.75+.75*I,.3,.59*J>,.1 texture{T_Black}} #end
#end
"""
DUCK = """
sphere{0,.8 scale <1.15,.75,.85> translate y*.58}
sphere{<.55,1.35,0>,.5}
cone{<-.6,.7,0>,.4,<-1.15,1.15,0>,.06}
sphere{0,.28 scale <1.1,.35,1> translate <1.05,1.28,0> texture{T_Carrot}}
sphere{<.86,1.5,-.34>,.085 texture{T_Black}} sphere{<.86,1.5,.34>,.085 texture{T_Black}}
sphere{0,.5 scale <1,.6,.25> rotate z*15 translate <-.15,.7,-.66>}
sphere{0,.5 scale <1,.6,.25> rotate z*15 translate <-.15,.7,.66>}
"""
TOYBRIGHT = ("red", "blue", "green", "yellow", "orange", "purple", "pink", "white", "turquoise")

TOYS = [
    Thing(
        "car",
        "toy car",
        "toys",
        CAR,
        ANY,
        ("shiny", "plastic", "metal"),
        ("car", "automobile", "vehicle", "model car"),
        12.5,
        turn=(-50, 40),
        aim=0.75,
    ),
    Thing(
        "ball",
        "ball",
        "toys",
        BALL,
        ANY,
        ("plastic", "rubber"),
        ("toy ball", "striped ball"),
        6.0,
        turn=(-90, 90),
    ),
    Thing(
        "dice",
        "die",
        "toys",
        DICE,
        ANY,
        ("plastic", "wooden"),
        ("dice", "game die", "dotted cube"),
        2.5,
        turn=(20, 60),
    ),
    Thing(
        "gift",
        "gift box",
        "gifts",
        GIFT,
        ("red", "blue", "green", "purple", "pink", "white", "black", "turquoise"),
        ("paper",),
        ("present", "gift", "wrapped present with a ribbon"),
        15.0,
        phrase="{colour} {noun} with a yellow ribbon",
        turn=(15, 60),
    ),
    Thing("bucket", "bucket", "garden", BUCKET, ANY, ("plastic", "metal"), ("pail",), 7.0),
    Thing(
        "house",
        "toy house",
        "toys",
        HOUSE,
        ("red", "blue", "green", "orange", "purple", "black", "brown", "turquoise"),
        ("wooden",),
        ("house", "model house", "dollhouse", "little home"),
        24.0,
        phrase="{noun} with a {colour} roof",
        short="{noun} with {colour} roof",
        turn=(-30, 30),
    ),
    Thing(
        "rocket",
        "toy rocket",
        "toys",
        ROCKET,
        ("red", "blue", "green", "orange", "purple", "pink", "black", "turquoise"),
        ("plastic",),
        ("rocket", "spaceship", "space rocket"),
        16.0,
        phrase="{colour} and white {noun}",
        short="{colour} {noun}",
        scale=0.92,
    ),
    Thing(
        "boat",
        "toy boat",
        "toys",
        BOAT,
        ("red", "blue", "green", "yellow", "orange", "purple", "black", "brown"),
        ("wooden", "plastic"),
        ("boat", "sailing boat", "ship", "sailboat"),
        18.0,
        scale=0.95,
    ),
    Thing(
        "snowman",
        "snowman",
        "toys",
        SNOWMAN,
        ("red", "blue", "green", "yellow", "orange", "purple", "pink"),
        ("fabric",),
        ("snowman figure", "snow man"),
        9.0,
        phrase="{noun} with a {colour} scarf",
        short="{noun} with {colour} scarf",
        turn=(-20, 20),
        scale=0.88,
    ),
    Thing(
        "ring",
        "ring",
        "jewellery",
        RING,
        ("red", "blue", "green", "purple", "pink", "yellow", "white", "turquoise"),
        ("gem",),
        ("gold ring", "finger ring", "jewel"),
        120.0,
        phrase="gold {noun} with a {colour} gem",
        short="{noun} with {colour} gem",
    ),
    Thing(
        "train",
        "toy train",
        "toys",
        TRAIN,
        TOYBRIGHT,
        ("wooden", "plastic"),
        ("train", "locomotive", "steam engine"),
        22.0,
        turn=(-45, 35),
    ),
    Thing(
        "duck",
        "rubber duck",
        "toys",
        DUCK,
        ("yellow", "pink", "blue", "green", "white", "orange", "purple", "red"),
        ("rubber",),
        ("duck", "toy duck", "bath duck", "bird toy"),
        5.0,
        phrase="{colour} {noun}",
        turn=(-30, 55),
    ),
]
