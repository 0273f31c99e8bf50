# ruff: noqa: E501 - shapes and textures read best with one part a line
"""Fruit, plants, clothes and other small things."""

from __future__ import annotations

from thing import ANY, Thing

APPLE = """
difference{ blob{threshold .5 sphere{<0,.75,0>,1.3,1 scale <1,.95,1>} sphere{<0,1.75,0>,.55,-.8} }
 box{<-2,-1,-2>,<2,.02,2>} scale 1.15}
cylinder{<0,1.15,0>,<.1,1.75,0>,.045 texture{T_WoodDark}}
sphere{0,.3 scale <1,.12,.5> rotate z*25 translate <.38,1.72,0> texture{T_Leaf}}
"""
BANANA = """
sphere_sweep{linear_spline 13,
#for(I,0,12) #local A=(-75+I*12.5)*pi/180; <1.35*sin(A),1.6-1.35*cos(A),0>, .07+.22*pow(max(0,sin(pi*I/12)),.6) #if(I<12) , #end #end }
cylinder{<1.3,1.2,0>,<1.36,1.55,0>,.08 texture{T_WoodDark}}
sphere{<-1.31,1.25,0>,.085 texture{T_WoodDark}}
"""
PEAR = """
sor{9,<.1,-.2>,<.3,.0>,<.72,.35>,<.76,.65>,<.55,1.1>,<.36,1.5>,<.28,1.75>,<.02,1.95>,<0,2.05>}
cylinder{<0,1.88,0>,<.12,2.3,0>,.045 texture{T_WoodDark}}
sphere{0,.3 scale <1,.12,.5> rotate z*25 translate <.38,2.1,0> texture{T_Leaf}}
"""
MUSHROOM = """
sor{7,<.4,-.2>,<.38,0>,<.28,.4>,<.25,.8>,<.3,1.1>,<.35,1.2>,<.35,1.3> texture{T_Cream}}
difference{ sphere{0,1 scale <1,.85,1> translate y*1.0} box{<-2,-2,-2>,<2,1.0,2>} }
cylinder{y*.96,y*1.0,.97 texture{T_Cream}}
#declare R=seed(5);
#for(I,0,16) #local A=I*137.5; #local B=15+68*sqrt(I/17);
 sphere{0,.13 scale <1,.4,1> translate y*.98 rotate z*-B rotate y*A scale <1,.85,1> translate y*1 texture{T_White}}
#end
"""
PLANT = """
difference{ cone{0,.45,y*.85,.65} cone{y*.5,.5,y*.9,.6} } torus{.63,.07 translate y*.85}
cylinder{y*.6,y*.75,.56 texture{T_Soil}}
#for(I,0,15)
 sphere{0,1 scale <.17,.62,.06> translate y*.6 rotate x*(12+mod(I*23,55)) rotate y*(I*137.5) translate y*.75 texture{T_Leaf}}
#end
"""
FLOWER = """
cylinder{0,y*1.7,.045 texture{T_Leaf}}
sphere{0,1 scale <.4,.06,.16> rotate z*30 translate <.4,.75,0> texture{T_Leaf}}
sphere{0,1 scale <.4,.06,.16> rotate z*-30 translate <-.4,.55,0> texture{T_Leaf}}
union{
#for(I,0,7) sphere{0,1 scale <.36,.2,.09> translate x*.5 rotate z*I*45} #end
sphere{0,.26 scale <1,1,.6> texture{T_Center}}
rotate x*20 translate y*1.85}
cylinder{0,y*.08,.35 texture{T_Soil}}
"""
BOOK = """
box{<-.8,0,-1.05>,<.8,.06,1.05>} box{<-.8,.44,-1.05>,<.8,.5,1.05>}
cylinder{<-.8,.25,-1.05>,<-.8,.25,1.05>,.25}
box{<-.8,.05,-1>,<.74,.45,1> texture{T_Pages}}
box{<-.5,.5,.3>,<.5,.51,.6> texture{T_Gold}} box{<-.3,.5,-.6>,<.3,.51,-.5> texture{T_Gold}}
"""
HAT = """
difference{ cylinder{0,y*.07,1.2} } torus{1.17,.05 translate y*.05}
sor{7,<.75,-.2>,<.72,.05>,<.68,.4>,<.62,.75>,<.45,.95>,<.05,1.03>,<0,1.1>}
difference{ cone{y*.08,.745,y*.28,.725} cylinder{0,y,.5} texture{T_Ribbon}}
"""
UMBRELLA = """
difference{ sphere{0,1.3 scale <1,.75,1>} sphere{0,1.27 scale <1,.75,1>} box{<-2,-2,-2>,<2,.1,2>}
 #for(I,0,7) sphere{<1.28,-.18,0>,.48 scale <1,1,1> rotate y*I*45} #end translate y*1.35}
cylinder{y*.35,y*2.4,.04 texture{T_Steel}}
difference{ torus{.18,.05 rotate x*90} box{<-1,0,-1>,<1,1,1>} translate <.18,.28,0> texture{T_WoodDark}}
cylinder{y*.25,y*.55,.055 texture{T_WoodDark}}
"""
SHELF = """
box{<-.75,0,-.3>,<-.66,2.2,.3>} box{<.66,0,-.3>,<.75,2.2,.3>} box{<-.75,0,.26>,<.75,2.2,.3>}
#for(I,0,3) box{<-.75,.08+.68*I,-.3>,<.75,.16+.68*I,.3>} #end
#for(I,0,4) box{<-.6+.14*I,.16,-.2>,<-.5+.14*I,.55+.03*mod(I,3),.2> texture{T_Ribbon}} box{<-.1+.14*I,.84,-.2>,<.0+.14*I,1.25+.04*mod(I,3),.2> texture{T_Window}} box{<-.6+.13*I,1.52,-.2>,<-.52+.13*I,1.95-.04*mod(I,2),.2> texture{T_Cream}} #end
"""
GUITAR = """
union{
difference{ union{ cylinder{<0,.7,-.14>,<0,.7,.14>,.7} cylinder{<0,1.4,-.14>,<0,1.4,.14>,.52} } cylinder{<0,1.15,-.2>,<0,1.15,0>,.27 texture{T_Black}} }
box{<-.09,1.3,-.2>,<.09,2.9,-.08> texture{T_WoodDark}}
box{<-.16,2.85,-.18>,<.16,3.25,-.08> texture{T_Black}}
box{<-.3,.48,-.2>,<.3,.56,-.1> texture{T_WoodDark}}
#for(I,-1,1) cylinder{<.05*I,.5,-.22>,<.05*I,3.0,-.22>,.006 texture{T_Cream}} #end
scale .78 rotate x*4}
"""

NATURE = [
    Thing(
        "apple",
        "apple",
        "fruit",
        APPLE,
        ("red", "green", "yellow"),
        ("fresh",),
        ("fruit", "ripe apple"),
        0.6,
        turn=(-90, 90),
    ),
    Thing(
        "banana",
        "banana",
        "fruit",
        BANANA,
        ("yellow", "green"),
        ("fresh",),
        ("fruit", "curved fruit"),
        0.4,
        turn=(-30, 30),
        aim=0.8,
    ),
    Thing(
        "pear",
        "pear",
        "fruit",
        PEAR,
        ("green", "yellow", "red"),
        ("fresh",),
        ("fruit", "ripe pear"),
        0.7,
        turn=(-90, 90),
        scale=0.95,
    ),
    Thing(
        "mushroom",
        "mushroom",
        "garden",
        MUSHROOM,
        ("red", "brown", "orange", "purple", "yellow"),
        ("spotted",),
        ("toadstool", "fungus"),
        3.5,
        phrase="{colour} {noun} with white spots",
        scale=0.98,
    ),
    Thing(
        "plant",
        "potted plant",
        "garden",
        PLANT,
        ANY,
        ("ceramic",),
        ("flower pot", "houseplant", "plant in a pot"),
        14.0,
        phrase="green plant in a {colour} pot",
        short="plant in {colour} pot",
    ),
    Thing(
        "flower",
        "flower",
        "garden",
        FLOWER,
        ("red", "blue", "yellow", "orange", "purple", "pink", "white"),
        ("fresh",),
        ("blossom", "bloom", "daisy"),
        2.0,
        phrase="{colour} {noun}",
        turn=(-25, 25),
        scale=0.95,
    ),
    Thing(
        "book",
        "book",
        "stationery",
        BOOK,
        ANY,
        ("fabric",),
        ("hardcover book", "novel", "notebook"),
        17.0,
        phrase="{colour} {noun}",
        turn=(-50, 50),
        scale=1.05,
        aim=0.4,
    ),
    Thing(
        "hat",
        "hat",
        "clothes",
        HAT,
        ("red", "blue", "green", "white", "black", "brown", "pink", "purple"),
        ("fabric",),
        ("sun hat", "brimmed hat", "headwear"),
        19.0,
        phrase="{colour} {noun} with a yellow band",
        aim=0.55,
    ),
    Thing(
        "umbrella",
        "umbrella",
        "clothes",
        UMBRELLA,
        ANY,
        ("fabric",),
        ("parasol", "brolly"),
        16.5,
        phrase="open {colour} {noun}",
        turn=(-20, 20),
        scale=0.95,
    ),
    Thing(
        "bookcase",
        "bookcase",
        "furniture",
        SHELF,
        ("brown", "white", "black", "red", "green", "blue"),
        ("wooden",),
        ("bookshelf", "shelf with books"),
        89.0,
        turn=(-40, 40),
    ),
    Thing(
        "guitar",
        "guitar",
        "music",
        GUITAR,
        ("red", "blue", "brown", "orange", "black", "green", "purple"),
        ("wooden",),
        ("acoustic guitar", "instrument", "musical instrument"),
        139.0,
        turn=(-30, 30),
        scale=0.95,
    ),
]
