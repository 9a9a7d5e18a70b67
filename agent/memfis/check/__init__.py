"""Does nginx answer visitors as it should? Each site is asked, and the answer is compared.

`absence`: why a page is not in memory. `configuration`: what nginx is told to do, and which of its
servers answers for a name. `asking`: one request, as a visitor sends it. `expectation`: what is
asked for, and what memory has of it. `judgement`: what is wrong with an answer. `trouble`: what may
have caused it. `sites`: everywhere that a site is to be asked, and what came of it.
Nothing is imported here: `memfis stat` wants the first of them alone.
"""
